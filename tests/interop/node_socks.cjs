// Opens a tunnel with the npm package socks: stdin goes in, what comes out goes to stdout. With bind, it first prints
// `bound ADDRESS:PORT`, then `peer ADDRESS:PORT`, each on a line.
//
// Arguments: connect or bind, proxy host, proxy port, host, port[, user, password]

const { SocksClient } = require('socks');

const [command, proxyHost, proxyPort, host, port, userId, password] = process.argv.slice(2);
const client = new SocksClient({
  proxy: { host: proxyHost, port: Number(proxyPort), type: 5, userId, password },
  command,
  destination: { host, port: Number(port) },
});

client.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
client.on('bound', ({ remoteHost }) => console.log(`bound ${remoteHost.host}:${remoteHost.port}`));
client.on('established', ({ socket, remoteHost }) => {
  if (command === 'bind') {
    console.log(`peer ${remoteHost.host}:${remoteHost.port}`);
  }
  process.stdin.pipe(socket);
  socket.pipe(process.stdout);
});
client.connect();
