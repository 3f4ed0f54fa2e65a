// One webhook: made, looked at, changed, triggered, deleted.
import * as api from './api.js';
import { el } from './dom.js';
import { milliseconds, time } from './format.js';
import { action, badge, confirm, facts, go, headerLines, insecure, say, secret } from './ui.js';
import { condition, fixed, remove } from './webhooks.js';
import { webhookForm } from './form.js';

const EMPTY = { name: '', url: '', headers: {}, events: [], enabled: true };

async function choices() {
  const { events, scripts } = await api.description();
  return { events, scripts: scripts ? await api.data('admin/scripts') : null };
}

// A form that saves; what the server refuses is shown at the fields.
function saved(form, save, ...others) {
  const submit = action('Save', async () => {
    form.clear();
    const value = form.value();
    if (!value.headers) return form.show('Some fields are not right.', { headers: ['a name is there twice'] });
    try {
      await save(value);
    } catch (error) {
      if (error.status === 401) throw error;
      form.show(error.message, error.errors);
    }
  }, { class: 'primary', id: 'save' });
  return el('form', {
    novalidate: true,
    submit: (event) => {
      event.preventDefault();
      submit.click();
    },
  }, form.node, el('div', { class: 'buttons' }, submit, others));
}

export async function newWebhook() {
  if (!api.may('write')) return { title: 'Not allowed', content: 'This needs the scope write.' };
  const form = webhookForm(EMPTY, await choices());
  const place = el('div', {});
  place.append(saved(form, async (value) => {
    if (value.script === null) delete value.script;
    const { data } = await api.request('POST', 'admin/webhooks', { query: { show_secrets: true }, body: value });
    say(`${data.name} is saved.`);
    place.replaceChildren(
      data.secret ? secret(data.secret) : el('p', {}, 'Requests to it are not signed.'),
      el('a', { class: 'button primary', href: `#/webhooks/${data.id}` }, 'To the webhook'));
    place.querySelector('a').focus();
  }));
  return { title: 'Add new webhook', content: place };
}

// ---- one that is there ----

function outcome(result) {
  if (result.statusCode >= 200 && result.statusCode < 300) {
    return [badge('Success!', 'good'), ` Trigger succeeded: ${result.statusCode}, `, milliseconds(result.duration * 1000)];
  }
  return [badge(result.statusCode ? `error ${result.statusCode}` : `error: ${result.error}`, 'bad'), ' ',
    milliseconds(result.duration * 1000), result.message && el('pre', {}, result.message)];
}

function trigger(webhook) {
  const result = el('div', { role: 'status', class: 'outcome' });
  const node = action('Trigger', async () => {
    result.replaceChildren('Pending…');
    try {
      const { data } = await api.request('POST', `admin/webhooks/${webhook.id}/trigger`);
      result.replaceChildren(...outcome(data).flat().filter(Boolean));
    } catch (error) {
      result.replaceChildren(badge('error', 'bad'), ' ', error.message);
      if (error.status === 401) throw error;
    }
  }, { id: 'trigger' });
  return { node, result };
}

function rotate(webhook, place) {
  return action('New secret', async () => {
    const question = `Sign requests to “${webhook.name}” with a new secret? The old one signs them too for a day.`;
    if (!await confirm(question, 'New secret')) return;
    const { data } = await api.request('POST', `admin/webhooks/${webhook.id}/rotate-secret`, { query: { show_secrets: true }, body: {} });
    place.replaceChildren(secret(data.secret));
    place.scrollIntoView({ block: 'center' });
  }, { id: 'rotate' });
}

const KNOWN = new Set(['id', 'name', 'url', 'headers', 'events', 'enabled', 'isEnabled', 'script', 'source', 'secret', 'created_at',
  'updated_at', 'left_alone_until', 'failing_since']);

// What the form does not change: shown as the API has it.
const others = (webhook) => Object.entries(webhook).filter(([name]) => !KNOWN.has(name))
  .map(([name, value]) => [name, el('code', {}, typeof value === 'string' ? value : JSON.stringify(value))]);

function about(webhook, whole) {
  return facts([
    ['State', condition(webhook)],
    ...(whole ? [
      ['Name', webhook.name], ['Url', el('span', { class: 'url' }, webhook.url)], ['Events', webhook.events.join(', ')],
      ['Headers', headerLines(Object.entries(webhook.headers))],
      ['Script', webhook.script],
    ] : []),
    ['Signed with', webhook.secret ? el('code', {}, webhook.secret) : 'nothing'],
    ...others(webhook),
    ['Made', time(webhook.created_at)], ['Changed', time(webhook.updated_at)],
  ]);
}

export async function webhook(id) {
  const one = await api.data(`admin/webhooks/${id}`);
  const writes = api.may('write');
  const changes = writes && !fixed(one);
  const content = [
    el('p', {}, fixed(one) && [badge('read-only: in the config'), ' '], insecure(one)),
    about(one, !changes),
    el('p', {}, el('a', { href: `#/deliveries?webhook_id=${id}` }, 'Its deliveries'),
      writes && [' · ', el('a', { href: `#/deliveries/replay?webhook_id=${id}` }, 'Replay')]),
  ];
  if (!writes) return { title: one.name, content };
  const { node: test, result } = trigger(one);
  if (!changes) return { title: one.name, content: [content, el('div', { class: 'buttons' }, test), result] };

  const shown = el('div', {});
  const hint = el('span', { class: 'hint' });
  const form = webhookForm(one, {
    ...await choices(),
    changed: () => {
      test.setAttribute('aria-disabled', 'true');
      hint.textContent = 'Please save to trigger.';
    },
  });
  const save = async (value) => {
    await api.request('PUT', `admin/webhooks/${id}`, { body: value });
    say(`${value.name} is saved.`);
    document.dispatchEvent(new Event('refresh'));
  };
  const erase = action('Delete', async () => {
    if (await remove(one)) go('#/webhooks');
  }, { class: 'danger', id: 'delete' });
  content.push(shown, el('h2', {}, 'Change'), saved(form, save, test, rotate(one, shown), erase, hint), result);
  return { title: one.name, content };
}
