// Facts about one booking or table: how it looks now, what it is called, when it frees its tables.

import { MINUTE, now, QUARTER } from './clock.js';
import { fill, gettext } from './i18n.js';
import { page } from './page.js';
import { board } from './store.js';
import { closestTo, h, icon } from './ui.js';

/** @import { Action, Status } from './page.js' */
/** @import { Booking } from './store.js' */

/**
 * @typedef {Status | 'late' | 'over'} Tone
 */

const LATE_AFTER_MS = 10 * MINUTE;
/** So short a stay can still be clicked. */
const SHORTEST_DRAWN_MS = 5 * MINUTE;

/**
 * How a booking looks now: by its status, unless its party is late or stays over its time.
 * @param {Booking} booking
 * @returns {Tone}
 */
export function tone(booking) {
  if (booking.status === 'CONFIRMED' && now() > booking.start + LATE_AFTER_MS) return 'late';
  if (booking.status === 'SEATED' && now() > booking.end) return 'over';
  return booking.status;
}

/** @param {string} tone */
export const toneIcon = (tone) => (tone === 'over' ? 'late' : tone);

/** @param {Tone} tone */
export function toneLabel(tone) {
  if (tone === 'late') return gettext('Late');
  if (tone === 'over') return gettext('Over time');
  return page.statuses[tone].label;
}

/** @param {Booking} booking */
export const isOpen = (booking) => page.statuses[booking.status].open;

/** @param {Booking} booking */
export const isChangeable = (booking) => isOpen(booking) && board.day.may.update;

/** @param {Booking} booking */
export const occupiesTables = (booking) => page.statuses[booking.status].occupies;

/**
 * Whether the booking's status and the person's permissions allow the action.
 * @param {Booking} booking
 * @param {Action} action
 */
export function isAllowed(booking, action) {
  const { from, permission } = page.actions[action];
  return from.includes(booking.status) && board.day.may[permission];
}

/** @param {Booking} booking */
export const isInShownSector = (booking) => !board.sector || booking.sector === board.sector;

/**
 * When the party leaves, or is drawn to leave.
 * @param {Booking} booking
 */
export const leavesAt = (booking) => Math.max(booking.left ?? booking.end, booking.start + SHORTEST_DRAWN_MS);

/** @param {Booking} booking */
export function displayName(booking) {
  if (booking.name) return booking.name;
  return booking.channel === 'walk_in' ? gettext('Walk-in') : booking.reference;
}

/** @param {string[]} ids */
export const tableNames = (ids) => ids.map((id) => board.tables.get(id)?.name ?? id).join(' + ');

/** @param {string[]} ids */
export const tableText = (ids) => fill(gettext('Table %(table)s'), { table: tableNames(ids) });

/**
 * Whether new bookings may be put at a table.
 * @param {string | undefined} id
 */
export function isInUse(id) {
  const table = id && board.tables.get(id);
  return Boolean(table && !table.retired);
}

/** @param {{ min: number, max: number }} table */
export const seatsText = ({ min, max }) => (min === max ? `${max}` : `${min}-${max}`);

/**
 * What a change of the restaurant's set-up did to the booking, and what to do about it; empty for most.
 * @param {Booking} booking
 */
export const attentionText = (booking) => (isOpen(booking) ? booking.attention.map(causeText).join(' ') : '');

/** @param {string} cause */
function causeText(cause) {
  switch (cause) {
    case 'occupied':
      return gettext('Another party still sits at its table. Choose another table, or wait until they leave.');
    case 'tables':
      return gettext('Its table was taken out of use or no longer seats the party. Choose another table.');
    case 'hours':
      return gettext('The restaurant is now closed at that time. Agree on another time with the guest.');
    default:
      return gettext(
        'The time zone was changed: the guest was given another time. Set the time agreed with the guest.',
      );
  }
}

/** @param {Booking} booking */
export const attentionFlag = (booking) =>
  attentionText(booking) ? h('span', { class: 'flag' }, icon('flag', gettext('Needs attention'))) : null;

/**
 * The guests of each quarter hour.
 * @param {number} from
 * @param {number} to
 */
export function coversByQuarter(from, to) {
  const covers = /** @type {number[]} */ (new Array(Math.ceil((to - from) / QUARTER)).fill(0));
  for (const booking of board.bookings.values()) {
    if (!occupiesTables(booking) || !isInShownSector(booking)) continue;
    const first = Math.max(0, Math.floor((booking.start - from) / QUARTER));
    const end = Math.min(covers.length, Math.ceil((leavesAt(booking) - from) / QUARTER));
    for (let index = first; index < end; index += 1) covers[index] += booking.party;
  }
  return covers;
}

/**
 * The booking whose card on the timeline an event is about.
 * @param {Event} event
 */
export const bookingAt = (event) => board.bookings.get(closestTo(event, '.booking')?.dataset.id ?? '');
