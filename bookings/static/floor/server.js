// Requests to the server: the answers' JSON, and refusals as errors.

import { gettext } from './i18n.js';
import { page } from './page.js';

const TIMEOUT_MS = 12_000;
/** Status of a refusal that no server gave: the answer was lost, or the request was not sent. */
const NO_ANSWER = 0;

/** A request that was refused or not answered; `message` is for the person who made it. */
export class Refusal extends Error {
  /**
   * @param {number} status the HTTP status
   * @param {{ detail?: string, issues?: Issue[], alternatives?: Alternative[] } | null} body
   * @param {string} fallback the message if the body has none
   *
   * @typedef {{ path: string, message: string }} Issue what is wrong with one field
   * @typedef {{ sectorId: string, tableIds: string[] }} Alternative free tables that would do
   */
  constructor(status, body, fallback) {
    super(
      status === 401
        ? gettext('You are signed out. Sign in again in another tab, then try again: nothing is lost.')
        : body?.detail || fallback,
    );
    this.status = status;
    this.issues = body?.issues ?? [];
    this.alternatives = body?.alternatives ?? [];
  }
}

/** @param {unknown} error */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

/** A new idempotency key. Browsers keep randomUUID from pages over plain HTTP. */
export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/**
 * @param {string} path
 * @param {RequestInit} options
 * @param {string} unanswered the message if no answer comes
 */
async function request(path, options, unanswered) {
  let response;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    response = await fetch(page.urls.floor + path, { credentials: 'same-origin', signal, ...options });
  } catch {
    throw new Refusal(NO_ANSWER, null, unanswered);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(response.status, body, gettext('Something went wrong. Try again.'));
  return body;
}

/**
 * @param {string} path
 * @param {Record<string, unknown>} query empty values are left out
 */
export function get(path, query = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return request(text ? `${path}?${text}` : path, {}, gettext('Something went wrong. Try again.'));
}

const csrfToken = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name=csrf]'));

/**
 * @param {string} path
 * @param {object} body
 * @param {string} key the idempotency key: with one, the request may be sent again and is done once
 */
export async function post(path, body = {}, key = '') {
  const unanswered = key
    ? gettext('The server did not answer. Try again: it will not be done twice.')
    : gettext('The server did not answer. The change may have been saved: check before you try again.');
  const send = () =>
    request(
      path,
      {
        method: 'POST',
        body: JSON.stringify(body),
        headers: {
          'Content-Type': 'application/json',
          'X-CSRFToken': csrfToken.content,
          ...(key && { 'Idempotency-Key': key }),
        },
      },
      unanswered,
    );
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 403) throw error;
    // Refused before anything was done: signing in again in another tab made the page's token invalid.
    const { token, user } = await request('token', {}, gettext('Something went wrong. Try again.'));
    if (user !== page.user) {
      const advice = gettext(
        'Another person has signed in on this browser. Copy what you typed, then reload the page.',
      );
      throw new Refusal(NO_ANSWER, null, advice);
    }
    csrfToken.content = token;
    return send();
  }
}
