// node serve.js TOKEN: the pinning service on a free port of this machine, whose number is the first line of stdout.
//
// The package's own command listens on every network. What it does with a pin follows from the pin's name: one that
// starts with `pinned-` is pinned at once, `failed-` fails, others stay queued.
"use strict"

const http = require("http")
const { setup } = require("mock-ipfs-pinning-service")

setup({ token: process.argv[2], loglevel: "error" }).then((service) => {
  const server = http.createServer(service)
  server.listen(0, "127.0.0.1", () => console.log(server.address().port))
})
