// CRUD with the Node driver: node node_crud.js URI DATABASE. One JSON line an operation with what
// the app sees. It knows nothing of a proxy.
'use strict';
const { MongoClient, ObjectId, Long, BSON: { EJSON } } = require('mongodb');

const documents = () => [0, 1, 2, 3, 4, 5].map((n) => (
  { _id: n, n, tag: n % 2 === 0 ? 'even' : 'odd', list: [n, n + 1], sub: { x: n } }));

const operations = {
  'insertOne': (c) => c.insertOne({ _id: 100, x: 1 }),
  'insertOne without id': async (c) => (await c.insertOne({ x: 1 })).acknowledged,
  'insertOne duplicate': (c) => c.insertOne({ _id: 1 }),
  'insertMany': async (c) => (await c.insertMany(
    Array.from({ length: 1500 }, (_, i) => ({ _id: 1000 + i })))).insertedCount,
  'insertMany ordered': (c) => c.insertMany([{ _id: 300 }, { _id: 1 }, { _id: 301 }]),
  'insertMany unordered': (c) => c.insertMany([{ _id: 310 }, { _id: 1 }, { _id: 311 }],
    { ordered: false }),
  'updateOne': (c) => c.updateOne({ _id: 1 }, { $set: { x: 1 } }),
  'updateOne equal': (c) => c.updateOne({ _id: 1 }, { $set: { n: 1 } }),
  'updateOne by a field': (c) => c.updateOne({ n: 1 }, { $inc: { n: 10 } }),
  'updateOne of nothing': (c) => c.updateOne({ n: 404 }, { $inc: { n: 1 } }),
  'updateOne upsert': (c) => c.updateOne({ _id: 400 }, { $set: { x: 1 } }, { upsert: true }),
  'updateOne upsert by a field': async (c) => (await c.updateOne(
    { n: 77 }, { $setOnInsert: { x: 1 } }, { upsert: true })).upsertedCount,
  'updateOne error': (c) => c.updateOne({ _id: 1 }, { $inc: { tag: 1 } }),
  'updateOne immutable': (c) => c.updateOne({ _id: 1 }, { $set: { _id: 9 } }),
  'updateOne push': (c) => c.updateOne({ _id: 1 },
    { $push: { list: { $each: [8, 9], $slice: -3 } } }),
  'updateOne positional': (c) => c.updateOne({ list: 3 }, { $set: { 'list.$': 0 } }),
  'updateOne arrayFilters': (c) => c.updateOne({ _id: 2 }, { $set: { 'list.$[e]': 0 } },
    { arrayFilters: [{ e: { $gt: 2 } }] }),
  'updateOne pipeline': (c) => c.updateOne({ _id: 2 }, [{ $set: { m: { $add: ['$n', 1] } } }]),
  'updateOne collation': (c) => c.updateOne({ tag: 'ODD' }, { $set: { y: 1 } },
    { collation: { locale: 'en', strength: 2 } }),
  'updateOne bad hint': (c) => c.updateOne({ n: 2 }, { $set: { y: 1 } }, { hint: 'nope' }),
  'updateMany': (c) => c.updateMany({ tag: 'odd' }, { $inc: { n: 1 } }),
  'updateMany of nothing': (c) => c.updateMany({ tag: '?' }, { $inc: { n: 1 } }),
  'updateMany error': (c) => c.updateMany({}, { $push: { n: 1 } }),
  'replaceOne': (c) => c.replaceOne({ _id: 3 }, { r: 1 }),
  'replaceOne by a field': (c) => c.replaceOne({ n: 4 }, { r: 1 }),
  'replaceOne upsert': (c) => c.replaceOne({ _id: 401 }, { r: 1 }, { upsert: true }),
  'deleteOne': (c) => c.deleteOne({ _id: 3 }),
  'deleteOne by a field': (c) => c.deleteOne({ tag: 'even' }),
  'deleteOne of nothing': (c) => c.deleteOne({ tag: '?' }),
  'deleteMany': (c) => c.deleteMany({ tag: 'odd' }),
  'deleteMany of all': (c) => c.deleteMany({}),
  'bulkWrite': async (c) => {
    const result = await c.bulkWrite([
      { insertOne: { document: { _id: 500 } } },
      { updateOne: { filter: { _id: 1 }, update: { $inc: { n: 1 } } } },
      { updateMany: { filter: { tag: 'even' }, update: { $set: { e: true } } } },
      { replaceOne: { filter: { _id: 2 }, replacement: { r: 2 } } },
      { updateOne: { filter: { _id: 501 }, update: { $set: { u: 1 } }, upsert: true } },
      { deleteOne: { filter: { _id: 4 } } },
      { deleteMany: { filter: { tag: 'odd' } } }]);
    return [result.insertedCount, result.matchedCount, result.modifiedCount, result.deletedCount,
      result.upsertedCount, result.upsertedIds];
  },
  'bulkWrite unordered with errors': (c) => c.bulkWrite([
    { insertOne: { document: { _id: 1 } } },
    { insertOne: { document: { _id: 510 } } },
    { updateOne: { filter: { _id: 1 }, update: { $inc: { tag: 1 } } } },
    { deleteOne: { filter: { _id: 5 } } }], { ordered: false }),
  'findOneAndUpdate': (c) => c.findOneAndUpdate({ _id: 1 }, { $inc: { n: 1 } }),
  'findOneAndUpdate after': (c) => c.findOneAndUpdate({ tag: 'odd' }, { $inc: { n: 1 } },
    { sort: { _id: -1 }, returnDocument: 'after', projection: { n: 1 },
      includeResultMetadata: true }),
  'findOneAndUpdate upsert': (c) => c.findOneAndUpdate({ _id: 600 }, { $set: { x: 1 } },
    { upsert: true, returnDocument: 'after' }),
  'findOneAndReplace': (c) => c.findOneAndReplace({ n: 2 }, { r: 9 }),
  'findOneAndDelete': (c) => c.findOneAndDelete({}, { sort: { _id: -1 } }),
  'findOneAndDelete of nothing': (c) => c.findOneAndDelete({ _id: 404 }),
  'find': (c) => c.find({ n: { $gte: 2 } }).sort({ n: -1 }).limit(3).toArray(),
  'find in batches': (c) => c.find({}, { batchSize: 2 }).toArray(),
  'find with an error': (c) => c.find({ n: { $wrong: 1 } }).toArray(),
  'countDocuments': (c) => c.countDocuments({ tag: 'even' }),
  'distinct': (c) => c.distinct('tag'),
  'aggregate': (c) => c.aggregate([{ $group: { _id: '$tag', sum: { $sum: '$n' } } },
    { $sort: { _id: 1 } }]).toArray(),
  'createIndex': (c) => c.createIndex({ n: 1 }, { unique: true }),
  'a unique index refuses': async (c) => {
    await c.createIndex({ n: 1 }, { unique: true });
    return c.updateOne({ _id: 1 }, { $set: { n: 2 } });
  },
  'majority': (c) => c.updateOne({ _id: 1 }, { $set: { y: Long.fromNumber(1) } },
    { writeConcern: { w: 'majority' } }),
  'a session': async (c, client) => client.withSession(async (session) => {
    await c.insertOne({ _id: 800 }, { session });
    await c.updateOne({ _id: 800 }, { $inc: { n: 1 } }, { session });
    return c.findOne({ _id: 800 }, { session });
  }),
};

const volatile = new Set(['operationTime', '$clusterTime', 'opTime', 'electionId']);
function seen(value) {
  if (value instanceof ObjectId) return 'an ObjectId';
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(seen);
  if (value._bsontype) return EJSON.serialize(value);
  return Object.fromEntries(Object.entries(value).filter(([name]) => !volatile.has(name))
    .map(([name, item]) => [name, seen(item)]));
}

async function main() {
  const [uri, database] = process.argv.slice(2);
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 20000 });
  await client.connect();
  let number = 0;
  for (const [name, operation] of Object.entries(operations)) {
    const collection = client.db(database).collection(`node${number++}`);
    await collection.insertMany(documents());
    let result;
    try {
      result = seen(await operation(collection, client));
    } catch (error) {
      const writeErrors = error.writeErrors
        ? [].concat(error.writeErrors).map((e) => [e.index, e.code, e.errmsg]) : undefined;
      result = { error: error.name, code: error.code, message: error.message, writeErrors,
        keyValue: seen(error.keyValue), labels: error.errorLabels };
    }
    const after = seen(await collection.find().toArray());
    console.log(JSON.stringify({ name, result: result === undefined ? null : result, after }));
  }
  await client.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
