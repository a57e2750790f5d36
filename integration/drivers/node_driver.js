// The same as pymongo_sync.py, with the Node driver found on NODE_PATH.
const { MongoClient, GridFSBucket } = require('mongodb');

async function watched(things) {
  const stream = things.watch();
  const first = stream.tryNext();  // opens it
  await first;
  await things.insertOne({ _id: 6 });
  await things.updateOne({ _id: 6 }, { $set: { seen: true } });
  await things.deleteOne({ _id: 6 });
  const events = [];
  while (events.length < 3) events.push((await stream.next()).operationType);
  await stream.close();
  return events;
}

async function filed(db) {
  const bucket = new GridFSBucket(db);
  const upload = bucket.openUploadStream('file');
  await new Promise((resolve, reject) => {
    upload.on('finish', resolve).on('error', reject);
    upload.end(Buffer.alloc(600000));
  });
  let length = 0;
  for await (const part of bucket.openDownloadStreamByName('file')) length += part.length;
  return length;
}

async function work(client, db) {
  const things = db.collection('things');
  const orders = db.collection('orders');
  const out = {};
  await things.insertOne({ _id: 1, n: 0, tags: ['a'] });
  const many = await things.insertMany(
    Array.from({ length: 500 }, (_, i) => ({ _id: 100 + i, n: i })));
  out.many = many.insertedCount;
  const updated = await things.updateOne({ _id: 1 }, { $inc: { n: 5 }, $push: { tags: 'b' } });
  out.update = [updated.matchedCount, updated.modifiedCount];
  out.update_many = (await things.updateMany(
    { n: { $gte: 490 } }, { $set: { high: true } })).modifiedCount;
  out.find_and_modify = (await things.findOneAndUpdate(
    { _id: 1 }, { $inc: { n: 1 } }, { returnDocument: 'after' })).n;
  out.replace = (await things.replaceOne({ _id: 100 }, { n: -1 })).modifiedCount;
  out.delete = (await things.deleteMany({ n: { $gte: 1, $lt: 5 } })).deletedCount;
  const bulk = await things.bulkWrite([
    { insertOne: { document: { _id: 2 } } },
    { updateOne: { filter: { _id: 2 }, update: { $set: { x: 1 } } } },
    { deleteOne: { filter: { _id: 2 } } },
    { updateOne: { filter: { _id: 3 }, update: { $set: { y: 1 } }, upsert: true } }]);
  out.bulk = [bulk.insertedCount, bulk.modifiedCount, bulk.deletedCount, bulk.upsertedCount];
  await things.createIndex({ code: 1 }, { unique: true, sparse: true });
  await things.insertOne({ _id: 4, code: 'x' });
  out.duplicate = await things.insertOne({ _id: 5, code: 'x' }).catch((error) => error.code);
  await orders.insertOne({ _id: 0 });
  const session = client.startSession();
  session.startTransaction();
  await orders.insertOne({ _id: 1, total: 5 }, { session });
  await things.updateOne({ _id: 1 }, { $inc: { n: -5 } }, { session });
  await session.commitTransaction();
  session.startTransaction();
  await orders.insertOne({ _id: 2 }, { session });
  await session.abortTransaction();
  await session.endSession();
  out.transaction = [(await things.findOne({ _id: 1 })).n, await orders.countDocuments({})];
  out.events = await watched(things);
  out.file = await filed(db);
  out.left = await things.countDocuments({});
  const [grouped] = await things.aggregate(
    [{ $group: { _id: null, sum: { $sum: '$n' } } }]).toArray();
  out.sum = grouped.sum;
  return out;
}

async function count(db, times) {
  const out = { acknowledged: 0, failed: 0 };
  for (let i = 0; i < times; ++i) {
    const done = await db.collection('counters').updateOne(
      { _id: 'all' }, { $inc: { n: 1 } }, { upsert: true }).catch(() => null);
    out[done ? 'acknowledged' : 'failed'] += 1;
  }
  return out;
}

(async () => {
  const [uri, database, what] = process.argv.slice(2);
  const client = await MongoClient.connect(uri);
  const db = client.db(database);
  console.log(JSON.stringify(await (what === 'work' ? work(client, db) : count(db, 400))));
  await client.close();
  process.exit(0);  // a timer of the driver's may outlive it by half a minute
})().catch((error) => { console.error(error); process.exit(1); });
