// Connects stdin and stdout to a target, with the npm package socks.
//
// bind first prints `bound ADDRESS:PORT`, then `peer ADDRESS:PORT`, each on a line. associate sends each line of stdin as
// a datagram, and prints each answer after its source address.
//
// Arguments: 4 or 5, connect, bind or associate, proxy host, proxy port, host, port[, user, password]

const dgram = require('dgram');
const readline = require('readline');
const { SocksClient } = require('socks');

const [type, command, proxyHost, proxyPort, host, port, userId, password] = process.argv.slice(2);
const client = new SocksClient({
  proxy: { host: proxyHost, port: Number(proxyPort), type: Number(type), userId, password },
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
  udp.on('message', (bytes) => {
    const { remoteHost, data } = SocksClient.parseUDPFrame(bytes);
    console.log(`${remoteHost.host} ${remoteHost.port} ${data}`);
  });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const remoteHost = { host, port: Number(port) };
    udp.send(SocksClient.createUDPFrame({ remoteHost, data: Buffer.from(line) }), relay.port, relay.host);
  });
  lines.on('close', () => process.exit());
}
