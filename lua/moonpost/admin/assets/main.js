// Which page is shown: by the part of the address after #. Who is not signed in sees the form for that, and then what was asked for.
import * as api from './api.js';
import { el } from './dom.js';
import { action, problem, refresh, say } from './ui.js';
import { signIn } from './sign_in.js';
import { overview } from './overview.js';
import { webhooks } from './webhooks.js';
import { newWebhook, webhook } from './webhook.js';
import { deliveries, delivery } from './deliveries.js';
import { replay } from './replay.js';
import { event, events } from './events.js';
import { scripts } from './scripts.js';

// A page is a function of what its pattern holds and the query; it answers { title, content }.
const PAGES = [
  [/^\/?$/, overview],
  [/^\/webhooks$/, webhooks],
  [/^\/webhooks\/new$/, newWebhook],
  [/^\/webhooks\/(\d+)$/, webhook],
  [/^\/deliveries$/, deliveries],
  [/^\/deliveries\/(dlv_[\w-]+)$/, delivery],
  [/^\/deliveries\/replay$/, replay],
  [/^\/events$/, events],
  [/^\/events\/(evt_\w+)$/, event],
  [/^\/scripts$/, scripts],
];

const MENU = [['Overview', '/'], ['Webhooks', '/webhooks'], ['Deliveries', '/deliveries'], ['Events', '/events'], ['Scripts', '/scripts']];

const header = document.getElementById('header');
const main = document.getElementById('main');

function menu(path) {
  header.hidden = !api.session.csrf;
  if (header.hidden) return;
  const at = path.split('/')[1];
  document.getElementById('nav').replaceChildren(...MENU.map(([label, to]) => el('a', {
    href: `#${to}`, 'aria-current': at === to.slice(1) && 'page',
  }, label)));
  document.getElementById('who').replaceChildren(
    el('span', { title: `May: ${api.session.scopes.join(', ')}` }, api.session.name ?? ''), ' ',
    action('Sign out', async () => {
      await api.signOut();
      refresh();
    }, { id: 'sign-out' }));
}

async function find(path, query) {
  if (!api.session.csrf) await api.whoIs();
  for (const [pattern, page] of PAGES) {
    const match = pattern.exec(path);
    if (match && !api.may('read')) {
      return { title: 'Not allowed', content: 'The token that you signed in with may not read: it needs the scope read.' };
    }
    if (match) return page(...match.slice(1), query);
  }
  return { title: 'Not found', content: el('p', {}, 'There is no such page. ', el('a', { href: '#/' }, 'To the overview')) };
}

async function look(path, query) {
  try {
    return await find(path, query);
  } catch (error) {
    if (error.status !== 401) return { title: 'That did not work', content: problem(error) };
    const before = api.session.csrf;
    api.session.csrf = null;
    return signIn(before ? error.message : '', refresh);
  }
}

let turn = 0;

// again: the same page with what is there now, so the focus stays where it was.
async function show(again) {
  const mine = ++turn;
  const [path, parameters] = location.hash.slice(1).split('?');
  main.setAttribute('aria-busy', 'true');
  const { title, content } = await look(path, Object.fromEntries(new URLSearchParams(parameters)));
  if (mine !== turn) return; // another page was asked for meanwhile
  const focus = again && document.activeElement?.id;
  menu(path);
  main.replaceChildren(el('h1', {}, title), ...[content].flat(Infinity).filter(Boolean));
  main.removeAttribute('aria-busy');
  document.title = `${title} · moonpost`;
  const target = (focus && document.getElementById(focus)) || main.querySelector('[data-focus]') || main;
  target.focus({ preventScroll: again });
}

window.addEventListener('hashchange', () => {
  if (location.hash === '#main') return;
  say('');
  show(false);
});
document.addEventListener('refresh', () => show(true));
show(false);
