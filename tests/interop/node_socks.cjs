// Opens a tunnel with the npm package socks: stdin goes in, what comes out goes to stdout. With bind, it first prints
// `bound ADDRESS:PORT`, then `peer ADDRESS:PORT`, each on a line. With associate, each line of stdin is a datagram to the
// target, and each answer is printed behind the address that it came from.
//
// Arguments: connect, bind or associate, proxy host, proxy port, host, port[, user, password]

const dgram = require('dgram');
const readline = require('readline');
const { SocksClient } = require('socks');

const [command, proxyHost, proxyPort, host, port, userId, password] = process.argv.slice(2);
const client = new SocksClient({
  proxy: { host: proxyHost, port: Number(proxyPort), type: 5, userId, password },
  command,
  destination: command === 'associate' ? { host: '0.0.0.0', port: 0 } : { host, port: Number(port) },
});

client.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
client.on('bound', ({ remoteHost }) => console.log(`bound ${remoteHost.host}:${remoteHost.port}`));
client.on('established', ({ socket, remoteHost }) => {
  if (command === 'associate') {
    associate(remoteHost);
    return;
  }
  if (command === 'bind') {
    console.log(`peer ${remoteHost.host}:${remoteHost.port}`);
  }
  process.stdin.pipe(socket);
  socket.pipe(process.stdout);
});
client.connect();

function associate(relay) {
  const udp = dgram.createSocket('udp4');
  udp.on('message', (octets) => {
    const { remoteHost, data } = SocksClient.parseUDPFrame(octets);
    console.log(`${remoteHost.host} ${remoteHost.port} ${data}`);
  });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const remoteHost = { host, port: Number(port) };
    udp.send(SocksClient.createUDPFrame({ remoteHost, data: Buffer.from(line) }), relay.port, relay.host);
  });
  lines.on('close', () => process.exit());
}
