// A shop with Mongoose: schemas with unique and compound indexes made by autoIndex, transactions,
// populate, version keys, hooks, array edits, aggregation.
const mongoose = require('mongoose');

const { Schema } = mongoose;

const Customer = mongoose.model('Customer', new Schema({
  email: { type: String, required: true, unique: true, lowercase: true },
  name: String, tags: [String], address: { street: String, city: String },
}, { timestamps: true }));
const Product = mongoose.model('Product', new Schema({
  sku: { type: String, unique: true }, title: { type: String, index: true },
  stock: { type: Number, min: 0 }, price: mongoose.Schema.Types.Decimal128,
  dimensions: Map,
}));
const orderSchema = new Schema({
  customer: { type: Schema.Types.ObjectId, ref: 'Customer', index: true },
  lines: [{ product: { type: Schema.Types.ObjectId, ref: 'Product' }, quantity: Number }],
  state: { type: String, enum: ['open', 'paid', 'shipped'], default: 'open' },
  placed: { type: Date, default: Date.now },
}, { optimisticConcurrency: true });
orderSchema.index({ state: 1, placed: -1 });
const Order = mongoose.model('Order', orderSchema);

async function place(customer, lines) {
  return mongoose.connection.transaction(async (session) => {
    for (const { product, quantity } of lines) {
      const taken = await Product.findOneAndUpdate(
        { _id: product, stock: { $gte: quantity } }, { $inc: { stock: -quantity } }, { session });
      if (!taken) throw new Error('sold out');
    }
    const [order] = await Order.create([{ customer, lines }], { session });
    return order;
  });
}

async function work() {
  await Promise.all([Customer.init(), Product.init(), Order.init()]);
  const [ada, bob] = await Customer.create([
    { email: 'Ada@example.net', name: 'Ada', tags: ['new'], address: { city: 'Oslo' } },
    { email: 'bob@example.net', name: 'Bob' }]);
  const twice = await Customer.create({ email: 'ADA@example.net' }).catch((error) => error.code);
  const [pen, ink] = await Product.insertMany([
    { sku: 'pen', title: 'Pen', stock: 10, price: '1.50', dimensions: { length: 14 } },
    { sku: 'ink', title: 'Ink', stock: 3, price: '7.25' }]);
  await place(ada, [{ product: pen, quantity: 2 }, { product: ink, quantity: 1 }]);
  let sold_out = null;
  await place(bob, [{ product: pen, quantity: 1 }, { product: ink, quantity: 9 }])
    .catch((error) => { sold_out = error.message; });
  const order = await Order.findOne({ customer: ada });
  order.lines.push({ product: ink, quantity: 1 });
  order.state = 'paid';
  await order.save();
  const stale = await Order.findById(order._id);
  await Order.updateOne({ _id: order._id }, { $inc: { __v: 1 } });
  stale.state = 'shipped';
  const conflict = await stale.save().catch((error) => error.name);
  ada.tags.addToSet('vip'); ada.address.street = 'Storgata 1';
  await ada.save();
  await Customer.updateMany({}, { $push: { tags: { $each: ['x', 'y'], $slice: -3 } } });
  await Customer.bulkWrite([
    { updateOne: { filter: { email: 'cid@example.net' }, update: { name: 'Cid' }, upsert: true } },
    { deleteOne: { filter: { email: 'nobody@example.net' } } }]);
  return { told: { twice, sold_out, conflict } };
}

async function look() {
  const orders = await Order.find().populate('customer').populate('lines.product').lean();
  const stock = await Product.aggregate([{ $group: { _id: null, left: { $sum: '$stock' } } }]);
  return {
    orders: orders.map((order) => ({
      of: order.customer.email, state: order.state, version: order.__v,
      lines: order.lines.map((line) => [line.product.sku, line.quantity]) })),
    left: stock[0].left,
    customers: (await Customer.find().sort('email').lean()).map((c) => [c.email, c.tags, c.name]),
    indexes: (await Customer.collection.indexes()).map((index) => index.name),
  };
}

(async () => {
  const [uri, dbName, what] = process.argv.slice(2);
  await mongoose.connect(uri, { dbName });
  const result = what === 'work' ? await work() : await look();
  console.log(JSON.stringify(result));
  await mongoose.disconnect();
})().catch((error) => { console.error(error); process.exit(1); });
