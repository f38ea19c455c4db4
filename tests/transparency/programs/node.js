// Workers, timers, child processes, signals, file and socket I/O, crypto on the thread pool.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto'), fs = require('fs'), net = require('net');
const { execFileSync, spawn } = require('child_process');

if (!isMainThread) {
  let hash = String(workerData);
  for (let n = 0; n < 20000; n++) hash = crypto.createHash('sha256').update(hash).digest('hex');
  parentPort.postMessage(hash);
} else (async () => {
  const hashes = await Promise.all([...Array(6).keys()].map(n => new Promise((done, fail) => {
    const worker = new Worker(__filename, { workerData: n });
    worker.on('message', done).on('error', fail);
  })));
  console.log(hashes.join('\n'));
  let ticks = 0;
  await new Promise(done => { const t = setInterval(() => { if (++ticks == 10) { clearInterval(t); done(); } }, 2); });
  console.log('ticks', ticks);
  const keys = await Promise.all([...Array(8).keys()].map(n => new Promise(done =>
    crypto.pbkdf2('x' + n, 'salt', 5000, 16, 'sha512', (e, key) => done(key.toString('hex'))))));
  console.log(keys.join(' '));
  console.log(execFileSync('/bin/echo', ['from child']).toString().trim());
  const code = await new Promise(done => spawn('/bin/sh', ['-c', 'kill -TERM $$']).on('exit', (c, s) => done(`${c} ${s}`)));
  console.log('child', code);
  let signals = 0;
  const awake = setInterval(() => {}, 1000);  // a signal handler alone does not keep node alive
  await new Promise(done => { process.on('SIGUSR2', () => { if (++signals == 5) done(); else process.kill(process.pid, 'SIGUSR2'); }); process.kill(process.pid, 'SIGUSR2'); });
  clearInterval(awake);
  console.log('signals', signals);
  fs.writeFileSync('file', 'x'.repeat(100000));
  console.log(fs.statSync('file').size, (await fs.promises.readFile('file')).length);
  const server = net.createServer(s => s.pipe(s)).listen(0, '127.0.0.1', () => {
    const client = net.connect(server.address().port, '127.0.0.1', () => client.end('hello'));
    client.on('data', d => console.log('echo', d.toString())).on('close', () => { server.close(); process.exitCode = 9; });
  });
})();
