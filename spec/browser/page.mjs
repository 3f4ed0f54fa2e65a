// The admin page in a real browser: what a person does, with a hostile receiver's markup all over it. Started by
// scripts/browser.sh, which says where chromium and puppeteer are. Ends with "N passed, N failed".
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

const PATIENCE = Number(process.env.PATIENCE ?? 20000);
const MARKUP = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';
const dir = mkdtempSync(join(tmpdir(), 'moonpost-browser-'));
const config = join(dir, 'server.lua');
const children = [];

function start(program, args) {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { child.text += chunk; });
  children.push(child);
  return child;
}

async function until(what, condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

const moonpost = (...args) => execFileSync('moonpost', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
const newToken = (name, scopes) => moonpost('token', 'add', '--config', config, '--name', name, '--scopes', scopes);

// ---- what there is ----

const receiver = start('build/receiver', ['--stdin-lifetime', '--port', '0']);
const receiverUrl = `http://${await until('the receiver', () => receiver.text.match(/listening on (\S+)\n/)?.[1])}`;
writeFileSync(config, `return { webhooks = {
  store = "m.db", models = { address = { attributes = { city = { type = "string" } } } }, events = { "order.paid" },
  scripts = "hooks", network = { allow = { "127.0.0.0/8" } }, delivery = { retrySchedule = { 600 } }, log = { level = "off" },
  endpoints = { { name = "kept", url = "${receiverUrl}/ok", events = { "media.*" } } },
} }`);
execFileSync('mkdir', [join(dir, 'hooks')]);
const all = newToken('all', 'read,write,emit');
const reader = newToken('reader', 'read');
const port = await freePort();
const base = `http://127.0.0.1:${port}/`;
const server = start('moonpost', ['serve', '--config', config, '--listen', `127.0.0.1:${port}`]);
await until('the server', async () => {
  assert.equal(server.exitCode, null, server.text);
  return (await fetch(`${base}readyz`).catch(() => null))?.ok;
});

async function api(method, path, body) {
  const response = await fetch(base + path, {
    method, headers: { Authorization: `Bearer ${all}`, 'Content-Type': 'application/json' }, body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status}`);
  return (await response.json()).data;
}

// ---- the browser ----

const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM, headless: true, args: ['--no-sandbox'] });
const page = await browser.newPage();
page.setDefaultTimeout(PATIENCE);
const complaints = [];
page.on('pageerror', (error) => complaints.push(error.message));
page.on('console', (message) => {
  if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
});

const shown = () => page.$eval('main', (node) => node.textContent);
const settled = (title) => page.waitForFunction((wanted) => !document.querySelector('main').hasAttribute('aria-busy')
  && document.querySelector('h1')?.textContent === wanted, {}, title);
const shows = (text) => until(`“${text}” on the page`,
  async () => (await page.$eval('body', (node) => node.textContent)).includes(text));

async function open(hash, title) {
  await page.evaluate((to) => { location.hash = to; }, hash);
  await settled(title);
}

// By its name for people who do not see it, as they would find it.
async function press(name, within = 'main') {
  const handle = await page.waitForSelector(`${within} ::-p-aria([name="${name}"][role="button"])`);
  await handle.evaluate((node) => node.scrollIntoView({ block: 'center' }));
  await handle.click();
}

async function fill(label, text) {
  const handle = await page.waitForSelector(`main ::-p-aria([name="${label}"])`);
  await handle.evaluate((node) => { node.value = ''; });
  await handle.type(text);
}

async function signIn(token) {
  await settled('Sign in to moonpost');
  await page.$eval('input', (input) => { input.value = ''; });
  await page.type('input', token);
  await page.keyboard.press('Enter');
}

let passed = 0, failed = 0;

async function it(what, run) {
  complaints.length = 0;
  try {
    await run();
    assert.equal(await page.evaluate(() => window.pwned), undefined, 'markup of others came to life');
    assert.deepEqual(complaints, []);
    passed++;
    console.log(`ok - ${what}`);
  } catch (error) {
    failed++;
    console.log(`not ok - ${what}\n  ${error.stack}`);
    if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, `failed-${failed}.png`), fullPage: true });
  }
}

let made; // the webhook that the form makes

await it('signs in with a token, and stays signed in', async () => {
  await page.goto(base);
  assert.equal(page.url(), `${base}admin`);
  await signIn('mpt_wrong');
  await shows('the token is not known');
  await signIn(all);
  await settled('Overview');
  assert.equal(await page.evaluate(() => document.cookie), '');
  const [cookie] = await browser.cookies();
  assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ['moonpost', true, 'Strict']);
  await page.reload();
  await settled('Overview');
});

await it('makes a webhook, with mistakes at their fields and its secret once', async () => {
  await open('#/webhooks', 'Webhooks');
  await page.click('a[href="#/webhooks/new"]');
  await settled('Add new webhook');
  await fill('Url', 'nonsense');
  await press('Save');
  await shows('name is a required field');
  const wrong = await page.$$eval('[aria-invalid]', (nodes) => nodes.map((node) => node.labels[0].textContent));
  assert.deepEqual(wrong.slice(0, 2), ['Name', 'Url']);
  assert.equal(await page.evaluate(() => document.activeElement.labels[0].textContent), 'Name');
  await fill('Name', MARKUP);
  await fill('Url', `${receiverUrl}/json/500?body=${encodeURIComponent(MARKUP)}`);
  await press('Add header');
  await fill('Key', 'Authorization');
  await fill('Value', 'Bearer s3cr3t');
  await (await page.$('main ::-p-text(All of entry)')).click();
  await press('Save');
  await shows('it is not shown again');
  const secret = await page.$eval('.secret', (node) => node.textContent);
  made = (await api('GET', 'admin/webhooks?show_secrets=true')).find((webhook) => webhook.name === MARKUP);
  assert.equal(secret, made.secret);
  assert.deepEqual([made.headers, made.events, made.enabled], [{ Authorization: 'Bearer s3cr3t' }, ['entry.*'], true]);
  await open(`#/webhooks/${made.id}`, MARKUP);
  assert.ok(!(await page.content()).includes(secret));
});

await it('gives it a new secret, shown once', async () => {
  await press('New secret');
  await press('New secret', 'dialog');
  await shows('it is not shown again');
  const secret = await page.$eval('.secret', (node) => node.textContent);
  const webhook = await api('GET', `admin/webhooks/${made.id}?show_secrets=true`);
  assert.equal(secret, webhook.secret);
  assert.deepEqual(webhook.oldSecrets.map((old) => old.secret), [made.secret]);
});

await it('changes it, and keeps what was masked', async () => {
  await fill('Url', `${receiverUrl}/json/502?body=${encodeURIComponent(MARKUP)}`);
  await shows('Please save to trigger.');
  await press('Add header');
  const rows = await page.$$('.row');
  const inputs = await rows[1].$$('input');
  await inputs[0].type('X-Own');
  await inputs[1].type('1');
  await press('Save');
  await shows('is saved.');
  const webhook = await api('GET', `admin/webhooks/${made.id}?show_secrets=true`);
  assert.deepEqual(webhook.headers, { Authorization: 'Bearer s3cr3t', 'X-Own': '1' });
  assert.ok(webhook.url.includes('/json/502'));
});

await it('shows what a receiver answers to a trigger as text', async () => {
  await press('Trigger');
  await shows('error 502');
  assert.equal(await page.$eval('.outcome pre', (node) => node.textContent), MARKUP);
  assert.equal(await page.$('main img, main script'), null);
});

await it('shows deliveries, their attempts and their bodies as text', async () => {
  const response = await fetch(`${base}events`, {
    method: 'POST', headers: { Authorization: `Bearer ${all}`, 'Content-Type': 'application/json' },
    body: `{"event":"entry.create","model":"address","entry":{"id":12345678901234567890,"city":${JSON.stringify(MARKUP)}}}`,
  });
  assert.equal(response.status, 202);
  await until('an attempt', async () => (await api('GET', 'admin/deliveries')).find((one) => one.attempts > 0));
  await open(`#/deliveries?webhook_id=${made.id}&state=waiting`, 'Deliveries');
  assert.ok((await shown()).includes(MARKUP));
  await page.click('td a[href^="#/deliveries/dlv_"]');
  await settled('Delivery of entry.create');
  await page.click('details summary');
  assert.equal(await page.$eval('details pre', (node) => node.textContent), MARKUP);
  const body = await page.$eval('pre[aria-label="Body"]', (node) => node.textContent);
  assert.ok(body.includes('"id": 12345678901234567890,'));
  assert.equal(JSON.parse(body).entry.city, MARKUP);
  await press('Resend');
  await shows('It is sent again.');
  await until('another attempt', async () => (await api('GET', `admin/deliveries?webhook_id=${made.id}`))[0].attempts > 1);
});

await it('goes through lists by pages, and filters them', async () => {
  for (let i = 0; i < 3; i++) {
    await api('POST', 'events', Array.from({ length: 20 }, () => ({ event: 'entry.update', model: 'address', entry: { id: i } })));
  }
  await open('#/events', 'Events');
  assert.equal((await page.$$('tbody tr')).length, 50);
  await (await page.$('main ::-p-text(Older)')).click();
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 11);
  await page.select('#filter-type', 'entry.create');
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  await page.goBack();
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 11);
  await open('#/deliveries', 'Deliveries');
  await page.select('#filter-webhook', '1');
  await shows('There are no such deliveries.');
});

await it('replays', async () => {
  await open(`#/deliveries/replay?webhook_id=${made.id}`, 'Replay');
  await press('Replay');
  await shows('0 deliveries are made again.');
});

await it('says of which receivers it is not sure, wherever they are shown', async () => {
  await api('PATCH', `admin/webhooks/${made.id}`, { tls: { insecure: true } });
  const pages = [['#/', 'Overview'], ['#/webhooks', 'Webhooks'], [`#/webhooks/${made.id}`, MARKUP], ['#/deliveries', 'Deliveries']];
  for (const [hash, title] of pages) {
    await open('#/scripts', 'Scripts');
    await open(hash, title);
    const mark = await page.$eval('.insecure', (node) => [node.textContent, getComputedStyle(node).backgroundColor]);
    assert.deepEqual(mark, ['TLS: not verified', 'rgb(179, 18, 43)']);
  }
});

await it('leaves webhooks of the config alone', async () => {
  await open('#/webhooks/1', 'kept');
  await shows('read-only: in the config');
  assert.deepEqual(await page.$$eval('main button', (nodes) => nodes.map((node) => node.textContent)), ['Trigger']);
  await press('Trigger');
  await shows('Trigger succeeded: 200');
});

await it('has no page that axe has a word to say of, nor one wider than a phone', async () => {
  const delivery = `#/deliveries/${(await api('GET', `admin/deliveries?webhook_id=${made.id}`)).at(-1).id}`;
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  for (const scheme of ['light', 'dark']) {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    for (const width of [360, 1200]) {
      await page.setViewport({ width, height: 800 });
      for (const [hash, title] of [
        ['#/', 'Overview'], ['#/webhooks', 'Webhooks'], [`#/webhooks/${made.id}`, MARKUP], ['#/webhooks/new', 'Add new webhook'],
        ['#/deliveries', 'Deliveries'], ['#/deliveries/replay', 'Replay'], ['#/events', 'Events'], ['#/scripts', 'Scripts'],
        [delivery, 'Delivery of entry.create'], ['#/nowhere', 'Not found'],
      ]) {
        await open(hash, title);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(wide, 0, `${hash} at ${width}`);
        const { passes, violations } = await page.evaluate('axe.run()');
        assert.ok(passes.length > 10);
        assert.deepEqual(violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`)), [], `${hash}, ${scheme}`);
        if (process.env.SHOTS) {
          await page.screenshot({ path: join(process.env.SHOTS, `${title.replace(/\W+/g, '-')}-${scheme}-${width}.png`), fullPage: true });
        }
      }
    }
  }
  await page.setViewport({ width: 1200, height: 800 });
});

await it('enables, disables, and deletes after a question', async () => {
  await open('#/webhooks', 'Webhooks');
  const enabled = async () => (await api('GET', `admin/webhooks/${made.id}`)).enabled;
  await page.click(`#toggle-${made.id}`);
  await until('a disabled webhook', async () => !await enabled());
  await until('the button, which still has the focus', () => page.$eval(`#toggle-${made.id}`,
    (node) => node.textContent === 'Enable' && document.activeElement === node));
  await page.click(`#toggle-${made.id}`);
  await until('an enabled webhook', enabled);
  await open(`#/webhooks/${made.id}`, MARKUP);
  await press('Delete');
  await page.waitForSelector('dialog[open]');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Cancel');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('dialog'));
  await press('Delete');
  await press('Delete', 'dialog');
  await settled('Webhooks');
  assert.equal((await api('GET', 'admin/webhooks')).length, 1);
});

await it('makes no markup and no script of text, whatever its code does', async () => {
  const attempt = (run) => page.evaluate(run).then(() => 'done', (error) => error.message);
  assert.match(await attempt(() => { document.createElement('div').innerHTML = '<b>x</b>'; }), /TrustedHTML/);
  assert.match(await attempt(() => { document.createElement('img').setAttribute('onerror', 'window.pwned = 1'); }), /TrustedScript/);
  assert.match(await attempt(() => { document.createElement('script').src = 'data:,window.pwned = 1'; }), /TrustedScriptURL/);
  complaints.length = 0;
});

// Another port is another origin, and the same site: the cookie comes along.
await it('is changed by no page of another origin', async () => {
  const other = await browser.newPage();
  await other.goto(`${receiverUrl}/ok`);
  const forge = (path, method, body) => other.evaluate((url, options) => fetch(url, { mode: 'no-cors', credentials: 'include', ...options })
    .catch((error) => error.message), base + path, { method, body });
  await forge('admin/webhooks', 'POST', JSON.stringify({ name: 'forged', url: `${receiverUrl}/ok`, headers: {}, events: ['*'] }));
  await forge('admin/session', 'POST', JSON.stringify({ token: reader }));
  assert.deepEqual((await api('GET', 'admin/webhooks')).map((webhook) => webhook.name), ['kept']);
  const framed = await other.evaluate((url) => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.onload = () => {
      try {
        resolve(frame.contentDocument === null ? 'refused' : 'open');
      } catch {
        resolve('refused');
      }
    };
    frame.src = `${url}admin`;
    document.body.append(frame);
  }), base);
  assert.equal(framed, 'refused');
  await other.close();
  await page.bringToFront();
  await page.reload();
  await settled('Webhooks');
  assert.equal(await page.$eval('#who span', (node) => node.textContent), 'all');
});

await it('offers who may read alone nothing else', async () => {
  await page.click('#sign-out');
  await signIn(reader);
  await settled('Webhooks');
  const pages = [['#/webhooks', 'Webhooks'], ['#/webhooks/1', 'kept'], ['#/deliveries', 'Deliveries'], ['#/scripts', 'Scripts']];
  for (const [hash, title] of pages) {
    await open('#/', 'Overview');
    await open(hash, title);
    const offered = await page.$$eval('main button, main .button:not(.pager *)', (nodes) => nodes.map((node) => node.textContent));
    assert.deepEqual(offered.filter((label) => label !== 'Refresh'), []);
  }
  await open('#/webhooks/new', 'Not allowed');
  await open('#/deliveries/replay', 'Not allowed');
});

await it('asks for a token again when the session is over', async () => {
  await open('#/webhooks', 'Webhooks');
  moonpost('token', 'rm', '--config', config, 'reader');
  await until('the end of the session', async () => {
    await page.evaluate(() => document.dispatchEvent(new Event('refresh')));
    await page.waitForFunction(() => !document.querySelector('main').hasAttribute('aria-busy'));
    return page.$('input[type="password"]');
  });
  await shows('the session is over: sign in again');
  await signIn(all);
  await settled('Webhooks');
});

await browser.close();
for (const child of children) child.kill('SIGTERM');
await until('the server’s end', () => server.exitCode !== null || server.signalCode !== null);
if (failed > 0) console.log(readFileSync(config, 'utf8'), server.text);
rmSync(dir, { recursive: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
