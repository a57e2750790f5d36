// What the test of drivers asks each of, with mongosh: node mongosh_driver.js URI DATABASE
// work|count. This very file is what mongosh then runs. The shell has no GridFS.
if (typeof db === 'undefined') {
  const { spawnSync } = require('child_process');
  const [uri, database, what] = process.argv.slice(2);
  const shell = require.resolve('mongosh/bin/mongosh.js');
  const asked = `var asked = ${JSON.stringify({ database, what })}`;
  const done = spawnSync(process.execPath, [shell, uri, '--quiet', '--norc', '--eval', asked,
    '--file', __filename], { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
  process.stdout.write(done.stdout);
  process.exit(done.status);
}

function work(own) {
  const { things, orders } = own;
  const out = {};
  things.insertOne({ _id: 1, n: 0, tags: ['a'] });
  const many = things.insertMany(Array.from({ length: 500 }, (_, i) => ({ _id: 100 + i, n: i })));
  out.many = Object.keys(many.insertedIds).length;
  const updated = things.updateOne({ _id: 1 }, { $inc: { n: 5 }, $push: { tags: 'b' } });
  out.update = [updated.matchedCount, updated.modifiedCount];
  out.update_many = things.updateMany({ n: { $gte: 490 } }, { $set: { high: true } }).modifiedCount;
  out.find_and_modify = things.findOneAndUpdate(
    { _id: 1 }, { $inc: { n: 1 } }, { returnDocument: 'after' }).n;
  out.replace = things.replaceOne({ _id: 100 }, { n: -1 }).modifiedCount;
  out.delete = things.deleteMany({ n: { $gte: 1, $lt: 5 } }).deletedCount;
  const bulk = things.bulkWrite([
    { insertOne: { document: { _id: 2 } } },
    { updateOne: { filter: { _id: 2 }, update: { $set: { x: 1 } } } },
    { deleteOne: { filter: { _id: 2 } } },
    { updateOne: { filter: { _id: 3 }, update: { $set: { y: 1 } }, upsert: true } }]);
  out.bulk = [bulk.insertedCount, bulk.modifiedCount, bulk.deletedCount, bulk.upsertedCount];
  things.createIndex({ code: 1 }, { unique: true, sparse: true });
  things.insertOne({ _id: 4, code: 'x' });
  try {
    things.insertOne({ _id: 5, code: 'x' });
  } catch (error) {
    out.duplicate = error.code;
  }
  orders.insertOne({ _id: 0 });
  const session = db.getMongo().startSession();
  const within = session.getDatabase(asked.database);
  session.startTransaction();
  within.orders.insertOne({ _id: 1, total: 5 });
  within.things.updateOne({ _id: 1 }, { $inc: { n: -5 } });
  session.commitTransaction();
  session.startTransaction();
  within.orders.insertOne({ _id: 2 });
  session.abortTransaction();
  out.transaction = [things.findOne({ _id: 1 }).n, orders.countDocuments({})];
  const stream = things.watch();
  things.insertOne({ _id: 6 });
  things.updateOne({ _id: 6 }, { $set: { seen: true } });
  things.deleteOne({ _id: 6 });
  out.events = [];
  while (out.events.length < 3) {
    const event = stream.tryNext();
    if (event) out.events.push(event.operationType);
  }
  stream.close();
  out.left = things.countDocuments({});
  out.sum = things.aggregate([{ $group: { _id: null, sum: { $sum: '$n' } } }]).toArray()[0].sum;
  return out;
}

function count(own) {
  const out = { acknowledged: 0, failed: 0 };
  for (let i = 0; i < 400; i++) {
    try {
      own.counters.updateOne({ _id: 'all' }, { $inc: { n: 1 } }, { upsert: true });
      out.acknowledged++;
    } catch (error) {
      out.failed++;
    }
  }
  return out;
}

const own = db.getSiblingDB(asked.database);
print(JSON.stringify(asked.what === 'work' ? work(own) : count(own)));
