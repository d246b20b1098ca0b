// Fastify with @fastify/http-proxy and nothing else: node fastify.js PORT TLS-PORT PEM UPSTREAM-PORT
"use strict";

const fs = require("node:fs");
const fastify = require("fastify");

const [port, tlsPort, pemFile, upstreamPort] = process.argv.slice(2);
const pem = fs.readFileSync(pemFile);

// It passes both fields on by itself, so that a client's close ends the kept connection to the service.
const withoutConnection = ({ connection, ...headers }) => headers;

async function serve(options, port) {
  const app = fastify({ logger: false, keepAliveTimeout: 600_000, ...options });
  app.register(require("@fastify/http-proxy"), {
    upstream: `http://127.0.0.1:${upstreamPort}`,
    undici: { connections: 2048, pipelining: 1 },
    replyOptions: {
      rewriteHeaders: withoutConnection,
      rewriteRequestHeaders: (request, headers) => withoutConnection(headers),
    },
  });
  await app.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
}

serve({}, port);
serve({ http2: true, https: { allowHTTP1: true, key: pem, cert: pem } }, tlsPort);
