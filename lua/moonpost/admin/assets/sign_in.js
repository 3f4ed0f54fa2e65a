// Signing in with a token.
import * as api from './api.js';
import { el } from './dom.js';
import { field, problem } from './ui.js';

export function signIn(message, done) {
  const token = el('input', { type: 'password', required: true, autocomplete: 'current-password', 'data-focus': true });
  const failure = el('div', {}, message && problem({ message }));
  const submit = async (event) => {
    event.preventDefault();
    try {
      await api.signIn(token.value.trim());
      done();
    } catch (error) {
      failure.replaceChildren(problem(error));
      token.select();
    }
  };
  return {
    title: 'Sign in to moonpost',
    content: el('form', { class: 'narrow', submit },
      failure,
      field('Token', token, ['One of ', el('code', {}, 'moonpost token add'), ', with the scope read, and write to change something.']),
      el('div', { class: 'buttons' }, el('button', { class: 'primary' }, 'Sign in'))),
  };
}
