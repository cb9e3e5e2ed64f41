// Connects as a Node client does. Arguments: port, then pairs of host and CA file.
const fs = require("fs");
const tls = require("tls");

const [port, ...pairs] = process.argv.slice(2);

function attempt(index) {
  if (index + 1 >= pairs.length) return;
  const [host, ca] = [pairs[index], fs.readFileSync(pairs[index + 1])];
  const next = (text) => {
    console.log(`${host} ${text}`);
    socket.destroy();
    attempt(index + 2);
  };
  const options = { host: "127.0.0.1", port: Number(port), servername: host, ca, ALPNProtocols: ["h2"] };
  const socket = tls.connect(options, () => next("ok"));
  socket.on("error", (error) => next(`${error.code} ${error.message}`.replace(/\n/g, " ")));
}

attempt(0);
