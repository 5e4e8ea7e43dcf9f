// Parts of the drawer's forms: labelled fields, the stepper of the party, and sending with refusals at the fields.

import { gettext } from './i18n.js';
import { page } from './page.js';
import { messageOf, Refusal } from './server.js';
import { h } from './ui.js';

/**
 * The form's field for each field of a request's body.
 * @type {Record<string, string>}
 */
const FIELDS = {
  partySize: 'party',
  durationMinutes: 'minutes',
  start: 'start',
  date: 'date',
  tableIds: 'tables',
  tableId: 'tables',
  sectorId: 'tables',
  guestName: 'name',
  guestEmail: 'email',
  guestPhone: 'phone',
  notes: 'notes',
  end: 'to',
};

/**
 * A field under its label, with room for what is wrong with it.
 * @param {string} text
 * @param {string} name the field's
 * @param {HTMLElement} control
 * @param {string} style the label's class
 */
export function labelled(text, name, control, style = '') {
  return h('label', { class: style }, h('span', {}, text), control, h('span', { class: 'bad', 'data-bad': name }));
}

/**
 * The party's size, with buttons for one guest more or less.
 * @param {number} party
 * @param {boolean} isFirst whether the drawer focuses it
 */
export function partyStepper(party, isFirst) {
  const input = h('input', {
    name: 'party',
    type: 'text',
    inputmode: 'numeric',
    value: party,
    maxlength: 3,
    'data-first': isFirst,
  });
  // A number that is typed replaces the one that is there.
  const select = () => input.select();
  input.addEventListener('focus', select);
  input.addEventListener('click', select);
  /** @type {(step: number, text: string) => HTMLElement} */
  const button = (step, text) => {
    const onclick = () => {
      input.value = String(Math.max(1, (Number(input.value) || 0) + step));
      input.dispatchEvent(new Event('input', { bubbles: true }));
    };
    return h('button', { type: 'button', tabindex: '-1', 'aria-label': `${text}1`, onclick }, text);
  };
  return h('span', { class: 'stepper' }, button(-1, '−'), input, button(1, '+'));
}

/**
 * @template {HTMLElement} [Type=HTMLInputElement]
 * @param {HTMLFormElement} form
 * @param {string} name
 * @returns {Type}
 */
export const fieldOf = (form, name) => /** @type {Type} */ (form.elements.namedItem(name));

/**
 * What is in the form's fields, by their names.
 * @param {HTMLFormElement} form
 * @returns {Record<string, string>}
 */
export const valuesOf = (form) =>
  Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));

/**
 * A number if it is one; else the text, for the server to say what is wrong with it.
 * @param {string} text
 */
export const numberOrText = (text) => (/^-?\d+$/.test(text.trim()) ? Number(text) : text);

/**
 * Send a form. A refusal is shown at the fields it is about, and nothing typed is lost.
 * @param {HTMLFormElement} form
 * @param {() => Promise<void>} send
 */
export async function submit(form, send) {
  const button = /** @type {HTMLButtonElement} */ (form.querySelector('button.solid'));
  button.disabled = true;
  form.querySelector(':scope > .alert')?.remove();
  for (const field of form.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid');
  for (const place of form.querySelectorAll('.bad')) place.textContent = '';
  try {
    await send();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    showRefusal(form, error);
  } finally {
    button.disabled = false;
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {Refusal} refusal
 */
function showRefusal(form, refusal) {
  /** @type {HTMLElement[]} */
  const wrongFields = [];
  for (const { path, message } of refusal.issues) {
    const name = FIELDS[path.split('.')[0]];
    const field = name ? fieldOf(form, name) : null;
    if (!field) continue;
    field.setAttribute('aria-invalid', 'true');
    const place = form.querySelector(`[data-bad="${name}"]`);
    if (place) place.textContent = message;
    wrongFields.push(field);
  }
  const allAtFields = wrongFields.length > 0 && wrongFields.length === refusal.issues.length;
  const text = allAtFields
    ? gettext('Your entries are kept. Correct the marked fields and try again.')
    : messageOf(refusal);
  const alert = h('p', { class: 'alert', role: 'alert' }, text);
  if (refusal.status === 401) {
    alert.append(' ', h('a', { href: page.urls.login, target: '_blank', rel: 'noopener' }, gettext('Sign in')));
  }
  form.prepend(alert);
  const [first] = wrongFields;
  (first ?? alert).scrollIntoView({ block: 'nearest' });
  first?.focus();
}
