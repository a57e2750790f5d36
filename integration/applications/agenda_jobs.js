// Agenda, a job queue: recurring, scheduled and unique jobs, worked off by two workers.
const { Agenda } = require('agenda');

async function connect(uri, database, options = {}) {
  const address = new URL(uri);
  address.pathname = `/${database}`;
  const agenda = new Agenda({ db: { address: address.toString() }, ...options });
  await new Promise((resolve) => agenda.once('ready', resolve));
  return agenda;
}

async function work_off(agenda, done) {
  for (;;) {
    const left = await agenda.jobs({
      name: { $in: ['mail', 'fails'] }, lastFinishedAt: null,
      'data.to': { $nin: ['later', 'once'] } });
    if (left.length === 0 && done.clean >= 1) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function work(uri, database) {
  const done = {};
  const count = (name) => { done[name] = (done[name] || 0) + 1; };
  const options = { processEvery: '100 milliseconds', defaultLockLifetime: 10000 };
  const workers = [await connect(uri, database, options), await connect(uri, database, options)];
  for (const worker of workers) {
    worker.define('mail', async (job) => count(job.attrs.data.to));
    worker.define('clean', async () => count('clean'));
    worker.define('fails', async () => { throw new Error('no paper'); });
    await worker.start();
  }
  const [first] = workers;
  for (let i = 0; i < 20; ++i) await first.now('mail', { to: `user${i}` });
  for (let i = 0; i < 2; ++i) await first.every('1 second', 'clean');
  await first.now('fails', {});
  for (let i = 0; i < 2; ++i) {
    const job = first.create('mail', { to: 'once' }).unique({ 'data.to': 'once' });
    await job.schedule('in 1 hour').save();
  }
  await first.schedule('in 1 hour', 'mail', { to: 'later' });
  await work_off(first, done);
  for (const worker of workers) await worker.stop();
  const cancelled = await first.cancel({ 'data.to': 'user3' });
  for (const worker of workers) await worker.close({ force: true });
  delete done.clean;
  const twice = Object.keys(done).filter((name) => done[name] !== 1);
  return { told: { twice, done: Object.keys(done).length, cancelled } };
}

async function look(uri, database) {
  const agenda = await connect(uri, database);
  const jobs = await agenda.jobs({}, { _id: 1 });
  const seen = jobs.map(({ attrs }) => [attrs.name, (attrs.data || {}).to, attrs.failReason]);
  await agenda.close({ force: true });
  return { jobs: seen.sort() };
}

(async () => {
  const [uri, database, what] = process.argv.slice(2);
  console.log(JSON.stringify(await (what === 'work' ? work : look)(uri, database)));
})().catch((error) => { console.error(error); process.exit(1); });
