// The HTTP API, and whose session this is. Paths are relative to the page, which may be mounted anywhere.

export const session = { name: null, scopes: [], csrf: null };

// What a request failed with: message for people, errors by field.
export class ApiError extends Error {
  constructor(status, answer, retryAfter) {
    super(answer.message === 'ValidationError' ? 'Some fields are not right.' : answer.message);
    this.status = status;
    this.errors = answer.data?.errors ?? {};
    if (status === 429 && retryAfter) this.message += `; again in ${retryAfter} s`;
  }
}

export const may = (scope) => session.scopes.includes(scope);

function url(path, query) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== '' && value !== null && value !== undefined && value !== false) parameters.set(name, value);
  }
  const text = parameters.toString();
  return new URL(text ? `${path}?${text}` : path, document.baseURI);
}

async function send(method, path, { query, body } = {}) {
  const headers = {};
  if (session.csrf && method !== 'GET') headers['X-CSRF-Token'] = session.csrf;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(url(path, query), {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'same-origin', redirect: 'error',
    });
  } catch {
    throw new ApiError(0, { message: 'The server does not answer.' });
  }
  if (response.ok) return response;
  let answer;
  try {
    answer = await response.json();
  } catch {
    answer = { message: `The server answered with status ${response.status}.` };
  }
  throw new ApiError(response.status, answer, response.headers.get('Retry-After'));
}

export async function request(method, path, options) {
  const response = await send(method, path, options);
  return response.status === 204 ? null : response.json();
}

export const get = (path, query) => request('GET', path, { query });
export const data = async (path, query) => (await get(path, query)).data;
export const text = async (path) => (await send('GET', path)).text();

const take = ({ data: { name, scopes, csrf } }) => Object.assign(session, { name, scopes, csrf });

// Throws an ApiError with status 401 when nobody is.
export const whoIs = async () => take(await get('admin/session'));
export const signIn = async (token) => take(await request('POST', 'admin/session', { body: { token } }));

export async function signOut() {
  await request('DELETE', 'admin/session');
  Object.assign(session, { name: null, scopes: [], csrf: null });
}

let described;

// What the config says: event types and patterns, and whether there are scripts.
export function description() {
  described ??= get('openapi.json').then(({ components: { schemas } }) => {
    const { events, script } = schemas.NewWebhook.properties;
    return { events: events.items.enum, scripts: script.type !== 'null' };
  }).catch((error) => {
    described = undefined;
    throw error;
  });
  return described;
}
