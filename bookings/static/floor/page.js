// What the server wrote into the page: the restaurant shown, the person signed in, and the product's statuses.

/**
 * @typedef {'CONFIRMED' | 'SEATED' | 'COMPLETED' | 'CANCELLED' | 'NO_SHOW'} Status
 * @typedef {'seat' | 'complete' | 'no-show' | 'cancel'} Action
 *
 * @typedef {object} StatusFacts
 * @property {string} label
 * @property {boolean} open the visit is still to come or under way, so the booking may be changed
 * @property {boolean} occupies its tables are, or were, used by the party
 * @property {boolean} reopens a booking with it may be put back to what it was before
 *
 * @typedef {object} ActionFacts
 * @property {string} label
 * @property {Status[]} from the statuses in which the action is possible
 * @property {Status} to
 * @property {boolean} onItsDay only on the booking's service day
 * @property {boolean} fromItsStart not before the booking's start
 * @property {'update' | 'cancel'} permission which of the day's permissions it needs
 *
 * @typedef {object} Page
 * @property {string} restaurant
 * @property {string} me the name by which others see the signed-in person
 * @property {number} user
 * @property {string} language
 * @property {{ floor: string, login: string, admin: string }} urls
 * @property {Record<Status, StatusFacts>} statuses
 * @property {Record<Action, ActionFacts>} actions
 */

/** @type {Page} */
export const page = JSON.parse(document.getElementById('page-data')?.textContent ?? '{}');

/** The person's own way of writing dates, as long as it is in the page's language. */
export const locale = navigator.language.startsWith(page.language) ? navigator.language : page.language;
