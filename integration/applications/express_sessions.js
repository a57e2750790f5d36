// A web app that keeps its visitors' sessions with express-session and connect-mongo.
const http = require('http');
const express = require('express');
const session = require('express-session');
const MongoStore = require('connect-mongo');

function serve(mongoUrl, dbName) {
  const app = express();
  const store = MongoStore.create({ mongoUrl, dbName, ttl: 3600 });
  app.use(session({
    store, secret: 'salt', resave: false, saveUninitialized: false, cookie: { maxAge: 3600000 } }));
  app.get('/visit', (request, response) => {
    request.session.visits = (request.session.visits || 0) + 1;
    (request.session.pages = request.session.pages || []).push(request.query.page);
    response.json({ visits: request.session.visits });
  });
  app.get('/look', (request, response) => response.json(
    { visits: request.session.visits || 0, pages: request.session.pages || [] }));
  app.get('/leave', (request, response) => request.session.destroy(() => response.json({})));
  return new Promise((resolve) => {
    const server = app.listen(0, '127.0.0.1', () => resolve({ server, store }));
  });
}

// What the server says, and the cookie it knows this visitor by.
function get(server, path, cookie) {
  return new Promise((resolve, reject) => {
    const headers = cookie ? { cookie } : {};
    http.get({ port: server.address().port, path, headers }, (response) => {
      let body = '';
      response.on('data', (part) => { body += part; });
      response.on('end', () => {
        if (response.statusCode !== 200) return reject(new Error(body));
        const [given] = response.headers['set-cookie'] || [];
        resolve({ body: JSON.parse(body), cookie: given ? given.split(';')[0] : cookie });
      });
    }).on('error', reject);
  });
}

async function work(server) {
  const visitors = [];
  const told = [];
  for (let i = 0; i < 5; ++i) {
    const { cookie } = await get(server, '/visit?page=0');
    for (let page = 1; page <= i; ++page) {
      told.push((await get(server, `/visit?page=${page}`, cookie)).body);
    }
    visitors.push(cookie);
  }
  await get(server, '/leave', visitors[4]);
  return { told, keep: visitors.join(' ') };
}

async function look(server, visitors) {
  const seen = [];
  for (const cookie of visitors.split(' ')) seen.push((await get(server, '/look', cookie)).body);
  return { seen };
}

(async () => {
  const [uri, database, what, kept] = process.argv.slice(2);
  const { server, store } = await serve(uri, database);
  console.log(JSON.stringify(await (what === 'work' ? work(server) : look(server, kept))));
  server.close();
  await store.close();
})().catch((error) => { console.error(error); process.exit(1); });
