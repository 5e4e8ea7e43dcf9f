// Building blocks of the page: elements, icons, messages and the confirmation dialog.

import { gettext } from './i18n.js';

const MAX_TOASTS = 3;
const TOAST_MS = 4500;
const ERROR_TOAST_MS = 9000;
/** As long as the bar of a toast with "Undo" takes to run out in ui.css. */
const UNDO_TOAST_MS = 10_000;

/** Screens on which the list is a view of its own, as board.css has it. */
export const PHONE = matchMedia('(max-width: 820px)');

/**
 * @typedef {Node | string | null | undefined | false} Child
 * @typedef {{
 *   [Name in keyof GlobalEventHandlersEventMap as `on${Name}`]?: (event: GlobalEventHandlersEventMap[Name]) => void
 * }} Handlers
 * @typedef {Handlers & { style?: Record<string, string>, [attribute: string]: unknown }} Props
 */

/**
 * An element: h('button', { class: 'solid', onclick: save }, 'Save'). Attributes that are null, undefined or false
 * are left out, and so are such children.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} props
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === 'style') setStyle(element, /** @type {Record<string, string>} */ (value));
    else if (value === true && name in element) Reflect.set(element, name, true);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {Record<string, string>} style
 */
export function setStyle(element, style) {
  for (const [property, value] of Object.entries(style)) element.style.setProperty(property, value);
}

/**
 * A symbol of templates/floor/icons.html.
 * @param {string} name
 * @param {string} label for screen readers; an icon without one only repeats what a text next to it says
 */
export function icon(name, label = '') {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  if (label) {
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', label);
  } else {
    svg.setAttribute('aria-hidden', 'true');
  }
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * The page's element with that id.
 * @template {HTMLElement} [Type=HTMLElement]
 * @param {string} id
 * @param {{ new (): Type }} [type]
 * @returns {Type}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof (type ?? HTMLElement))) throw new Error(`There is no #${id} of that type.`);
  return /** @type {Type} */ (element);
}

/** @param {string} id */
export const inputById = (id) => byId(id, HTMLInputElement);

/**
 * The closest element around an event's target that matches.
 * @param {Event} event
 * @param {string} selector
 */
export function closestTo(event, selector) {
  const { target } = event;
  return target instanceof Element ? /** @type {HTMLElement | null} */ (target.closest(selector)) : null;
}

/**
 * The focused element, which a redraw may have to focus again.
 * @returns {HTMLElement | null}
 */
export function focusedElement() {
  return document.activeElement instanceof HTMLElement ? document.activeElement : null;
}

/**
 * Ask for a confirmation in a dialog.
 * @param {string} question
 * @param {string[]} lines
 * @param {string} yes
 * @param {string} no
 * @returns {Promise<boolean>}
 */
export function askToConfirm(question, lines, yes, no) {
  return new Promise((resolve) => {
    const onclose = () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    };
    const dialog = h(
      'dialog',
      { class: 'confirm', 'aria-labelledby': 'confirmTitle', onclose },
      h('h2', { id: 'confirmTitle' }, question),
      ...lines.map((line) => h('p', {}, line)),
      h(
        'form',
        { method: 'dialog' },
        h('button', { class: 'solid', value: 'yes', autofocus: true }, yes),
        h('button', { class: 'soft', value: 'no' }, no),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * What Ctrl+Z does: the undo that the latest toast offers.
 * @type {{ undo: () => void, close: () => void } | null}
 */
let latestUndo = null;

/**
 * Show a message for a few seconds.
 * @param {string} text
 * @param {(() => void) | null} undo offered with a button and Ctrl+Z
 */
export function toast(text, undo = null) {
  const box = h('div', { class: 'toast' }, h('span', {}, text));
  const close = showToast(box, undo ? UNDO_TOAST_MS : TOAST_MS);
  if (!undo) return;
  latestUndo = { undo, close };
  const onclick = () => {
    close();
    undo();
  };
  box.append(h('button', { type: 'button', onclick }, gettext('Undo')), h('i'));
}

/**
 * Say what is wrong, and what would do instead: that stays until it is chosen or closed.
 * @param {string} text
 * @param {Choice[]} choices
 *
 * @typedef {{ text: string, choose: () => void }} Choice
 */
export function errorToast(text, choices = []) {
  const box = h('div', { class: 'toast bad' }, h('span', {}, text));
  const close = showToast(box, choices.length ? null : ERROR_TOAST_MS);
  box.append(h('button', { type: 'button', 'aria-label': gettext('Close'), onclick: close }, '×'));
  if (!choices.length) return;
  const buttons = choices.map(({ text, choose }) => {
    const onclick = () => {
      close();
      choose();
    };
    return h('button', { type: 'button', onclick }, text);
  });
  box.append(h('div', { class: 'choices', role: 'group', 'aria-label': gettext('Free tables') }, ...buttons));
}

/**
 * @param {HTMLElement} box
 * @param {number | null} milliseconds until it closes by itself, null for never
 */
function showToast(box, milliseconds) {
  const close = () => {
    clearTimeout(timer);
    box.remove();
    if (latestUndo?.close === close) latestUndo = null;
  };
  const timer = milliseconds === null ? undefined : setTimeout(close, milliseconds);
  const toasts = byId('toasts');
  while (toasts.children.length >= MAX_TOASTS) toasts.firstElementChild?.remove();
  toasts.append(box);
  return close;
}

export function undoLatest() {
  const offer = latestUndo;
  if (!offer) return;
  offer.close();
  offer.undo();
}

/** A new change is under way: neither Ctrl+Z nor a choice of tables may be about the one before it. */
export function forgetOffers() {
  latestUndo = null;
  for (const choices of document.querySelectorAll('.toast .choices')) choices.parentElement?.remove();
}

/**
 * Have screen readers say something at once.
 * @param {string} text
 */
export function announce(text) {
  byId('announcement').textContent = text;
}
