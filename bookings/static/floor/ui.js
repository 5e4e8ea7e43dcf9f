// What the other modules stand on: elements, words, times of the restaurant, and talking to the server.

export const start = JSON.parse(document.getElementById('start').textContent);

export function t(key, values = {}) {
  return start.words[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/** An element: h('button', {class: 'solid', onclick: f}, 'text', child, ...). */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else if (name in element && typeof value === 'boolean') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** With a `label` it says something that is said nowhere else. */
export function icon(name, label = '') {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  if (label) {
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', label);
  } else svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** How this person writes dates, as long as it is the page's language. */
const locale = navigator.language.startsWith(start.language) ? navigator.language : start.language;

export const byId = (id) => document.getElementById(id);
export const QUARTER = 15 * 60000;

/** Clocks of the restaurant's zone. */
export const clock = {
  offset: 0,
  set(zone, serverNow) {
    this.offset = serverNow - Date.now();
    this.time = new Intl.DateTimeFormat(locale, {
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
      timeZone: zone,
    });
    this.stamp = new Intl.DateTimeFormat(locale, {
      day: 'numeric',
      month: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
      timeZone: zone,
    });
  },
  now() {
    return Date.now() + this.offset;
  },
  at(ms) {
    return this.time.format(ms);
  },
  when(ms) {
    return this.stamp.format(ms);
  },
};

/** A date without a zone, YYYY-MM-DD, in words. */
export function dateWords(iso, long = true) {
  const style = long
    ? { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }
    : { weekday: 'short', day: 'numeric', month: 'short' };
  return new Intl.DateTimeFormat(locale, { ...style, timeZone: 'UTC' }).format(new Date(`${iso}T00:00:00Z`));
}

export function addDays(iso, days) {
  const date = new Date(`${iso}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() + days);
  return date.toISOString().slice(0, 10);
}

/** A refusal of the server: what to tell, and what is wrong with which field. */
export class Refusal extends Error {
  constructor(status, body, word = 'failed') {
    super(status === 401 ? t('signIn') : body?.detail || t(word));
    this.status = status;
    this.code = body?.error || '';
    this.issues = body?.issues || [];
  }
}

/** What makes a request that is sent again the same one. (Browsers keep randomUUID from pages over plain http.) */
export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

async function call(path, options, lost = 'failed') {
  let response;
  try {
    response = await fetch(start.urls.floor + path, {
      credentials: 'same-origin',
      signal: AbortSignal.timeout(12000),
      ...options,
    });
  } catch {
    // Without an answer nobody knows whether it was done.
    throw new Refusal(0, null, lost);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(response.status, body);
  return body;
}

export function get(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const text = new URLSearchParams(given).toString();
  return call(text ? `${path}?${text}` : path, {});
}

const csrf = document.querySelector('meta[name=csrf]');

/** With a `key` it may be sent again, and is done once. */
export async function post(path, body = {}, key = '') {
  const send = () =>
    call(
      path,
      {
        method: 'POST',
        body: JSON.stringify(body),
        headers: {
          'Content-Type': 'application/json',
          'X-CSRFToken': csrf.content,
          ...(key && { 'Idempotency-Key': key }),
        },
      },
      key ? 'sendAgain' : 'noAnswer',
    );
  try {
    return await send();
  } catch (refusal) {
    if (refusal.status !== 403) throw refusal;
    // Nothing was done. The page's token may be of before they signed in again in another tab.
    const { token, user } = await call('token', {});
    if (user !== start.user) throw new Refusal(0, null, 'somebodyElse');
    csrf.content = token;
    return send();
  }
}

/** Ask before doing; true for yes. */
export function ask(title, lines, yes, no) {
  return new Promise((resolve) => {
    const close = (answer) => {
      box.remove();
      resolve(answer);
    };
    const box = h(
      'dialog',
      { class: 'ask', 'aria-labelledby': 'askTitle', onclose: () => close(box.returnValue === 'yes') },
      h('h2', { id: 'askTitle' }, title),
      ...lines.map((line) => h('p', {}, line)),
      h(
        'form',
        { method: 'dialog' },
        h('button', { class: 'solid', value: 'yes', autofocus: true }, yes),
        h('button', { class: 'soft', value: 'no' }, no),
      ),
    );
    document.body.append(box);
    box.showModal();
  });
}

/** Say something; with `undo`, offer it for ten seconds. */
export function toast(text, { bad = false, undo = null } = {}) {
  const box = h('div', { class: bad ? 'toast bad' : 'toast' }, h('span', {}, text));
  const close = () => {
    clearTimeout(timer);
    box.remove();
    if (latest.undo === undo) latest.undo = null;
  };
  const timer = setTimeout(close, undo ? 10000 : bad ? 9000 : 4500);
  if (undo) {
    latest.undo = undo;
    latest.close = close;
    box.append(
      h(
        'button',
        {
          type: 'button',
          onclick: () => {
            close();
            undo();
          },
        },
        t('undo'),
      ),
      h('i'),
    );
  } else if (bad) {
    box.append(h('button', { type: 'button', 'aria-label': t('close'), onclick: close }, '×'));
  }
  const room = byId('toasts');
  while (room.children.length > 2) room.firstChild.remove();
  room.append(box);
}
const latest = { undo: null, close: null };
export function undoLatest() {
  const { undo, close } = latest;
  if (undo) {
    close();
    undo();
  }
}

/** A new act is under way: what came before it can no longer be undone. */
export function settle() {
  latest.undo = null;
  latest.close = null;
}

export function say(text) {
  byId('say').textContent = text;
}
