// A Parse backend: users, roles, access lists, objects with counters, arrays, relations, files in
// GridFS and places, asked for through Parse's own client.
const http = require('http');
const express = require('express');
const { ParseServer } = require('parse-server');
const Parse = require('parse/node');

async function serve(uri, dbName) {
  const address = new URL(uri);
  address.pathname = `/${dbName}`;
  const app = express();
  const server = http.createServer(app);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const serverURL = `http://127.0.0.1:${server.address().port}/parse`;
  const parse = new ParseServer({
    databaseURI: address.toString(), appId: 'shop', masterKey: 'master', serverURL,
    publicServerURL: serverURL, logLevel: 'error', silent: true, logsFolder: null,
    allowClientClassCreation: true, enableInsecureAuthAdapters: false,
    fileUpload: { enableForPublic: true },
  });
  await parse.start();
  app.use('/parse', parse.app);
  Parse.initialize('shop', null, 'master');
  Parse.serverURL = serverURL;
  return { server, parse };
}
const master = { useMasterKey: true };

async function work() {
  const ada = await Parse.User.signUp('ada', 'secret', { email: 'ada@example.net' });
  const again = await Parse.User.signUp('ada', 'other', {}).catch((error) => error.code);
  const Boat = Parse.Object.extend('Boat');
  const boats = ['Fram', 'Gjøa', 'Maud'].map((name, i) => new Boat({
    name, trips: i, crew: ['ada'], home: new Parse.GeoPoint(59.9 + i, 10.7) }));
  await Parse.Object.saveAll(boats, master);
  const [fram, gjoa, maud] = boats;
  fram.increment('trips', 5);
  fram.add('crew', 'bob');
  fram.set('owner', ada);
  fram.setACL(new Parse.ACL(ada));
  await fram.save(null, master);
  await fram.save({}, master);
  fram.relation('visited').add(gjoa);
  fram.remove('crew', 'ada');
  await fram.save(null, master);
  await Parse.Object.saveAll(
    [gjoa, maud].map((boat) => boat.increment('trips')), { ...master, transaction: true });
  const role = new Parse.Role('skippers', new Parse.ACL());
  role.getUsers().add(ada);
  await role.save(null, master);
  const file = new Parse.File('log.txt', [...Buffer.from('fair wind '.repeat(50000))]);
  await file.save(master);
  gjoa.set('log', file);
  await gjoa.save(null, master);
  const gone = new Parse.Object('Gone');
  await gone.save(null, master);
  await new Parse.Schema('Gone').purge();
  await new Parse.Schema('Gone').delete();
  await new Parse.Schema('Boat').addIndex('by_name', { name: 1 }).addNumber('tons').update();
  fram.addUnique('crew', 'cid');
  await fram.save(null, master);
  await maud.destroy(master);
  return { told: { again } };
}
async function look() {
  const near = new Parse.Query('Boat').near('home', new Parse.GeoPoint(60, 10));
  const boats = await near.include('owner').find(master);
  const fram = boats.find((boat) => boat.get('name') === 'Fram');
  const login = await Parse.User.logIn('ada', 'secret');
  const { pathname } = new URL(boats.find((boat) => boat.get('log')).get('log').url());
  const log = await (await fetch(new URL(pathname, Parse.serverURL))).text();
  const schema = await new Parse.Schema('Boat').get();
  return {
    boats: boats.map((b) => [b.get('name'), b.get('trips'), b.get('crew')]),
    owner: fram.get('owner').get('username'),
    visited: (await fram.relation('visited').query().find(master)).map((b) => b.get('name')),
    roles: (await new Parse.Query(Parse.Role).find(master)).map((r) => r.getName()),
    user: login.getUsername(), log: log.length,
    is_indexed: 'by_name' in schema.indexes,  // others are made when they are first asked for
    classes: (await Parse.Schema.all()).map((c) => c.className).sort(),
  };
}
(async () => {
  const [uri, dbName, what] = process.argv.slice(2);
  const { server, parse } = await serve(uri, dbName);
  console.log(JSON.stringify(await (what === 'work' ? work() : look())));
  await parse.handleShutdown();
  server.close();
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
