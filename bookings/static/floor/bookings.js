// Facts about one booking or table: how it looks now, what it is called, when it frees its tables.

import { MINUTE, now, QUARTER, timeText, wallTimeText } from './clock.js';
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
 * Whether the booking's status, the time and the person's permissions allow the action.
 * @param {Booking} booking
 * @param {Action} action
 */
export function isAllowed(booking, action) {
  const { from, onItsDay, fromItsStart, permission } = page.actions[action];
  const isTime = (!onItsDay || booking.date === board.day.today) && (!fromItsStart || now() >= booking.start);
  return from.includes(booking.status) && isTime && board.day.may[permission];
}

/** @param {Booking} booking */
export const mayPutBack = (booking) => page.statuses[booking.status].reopens && board.day.may.update;

/** @param {Booking} booking */
export const isInShownSector = (booking) => !board.sector || booking.sector === board.sector;

/**
 * When the party has its tables from: its start, or when it sat down if that was earlier.
 * @param {Booking} booking
 */
export const beginsAt = (booking) => Math.min(booking.start, booking.seatedAt ?? booking.start);

/**
 * Until when the party has its tables: until it left, and while it sits, at least until now.
 * @param {Booking} booking
 */
export function endsAt(booking) {
  const planned = booking.status === 'SEATED' ? Math.max(booking.end, now()) : booking.end;
  return Math.max(booking.left ?? planned, beginsAt(booking) + SHORTEST_DRAWN_MS);
}

/** @param {Booking} booking */
export const startText = (booking) => wallTimeText(booking.wall[0]);

/**
 * The planned end, or when the party left.
 * @param {Booking} booking
 */
export const endText = (booking) => (booking.left === null ? wallTimeText(booking.wall[1]) : timeText(endsAt(booking)));

/** @param {Booking} booking */
export function timesText(booking) {
  const isEarly = booking.left !== null && beginsAt(booking) < booking.start;
  return `${isEarly ? timeText(beginsAt(booking)) : startText(booking)}–${endText(booking)}`;
}

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
 * Whether another party still sits at one of the booking's tables, which it needs soon or already. What the server
 * said of that is as old as the reading of the day.
 * @param {Booking} booking
 */
function isOccupied({ id, status, start, end, tables }) {
  if (status !== 'CONFIRMED' || start > now() + board.day.occupiedMarginMinutes * MINUTE) return false;
  if (tables.some((table) => board.day.heldTables.includes(table))) return true;
  return [...board.bookings.values()].some(
    (other) =>
      other.id !== id &&
      other.status === 'SEATED' &&
      (other.seatedAt ?? other.start) < end &&
      other.tables.some((table) => tables.includes(table)),
  );
}

/**
 * Why staff must look at the booking now; empty for most.
 * @param {Booking} booking
 * @returns {string[]}
 */
export function flagsOf(booking) {
  if (!isOpen(booking)) return [];
  if (booking.date !== board.day.date) return booking.attention;
  const flags = booking.attention.filter((flag) => flag !== 'occupied');
  return isOccupied(booking) ? ['occupied', ...flags] : flags;
}

/**
 * @param {string} flag
 * @returns {{ label: string, meaning: string }} in a word; and what happened, and what to do about it
 */
export function flagTexts(flag) {
  switch (flag) {
    case 'occupied':
      return {
        label: gettext('Occupied'),
        meaning: gettext('Another party still sits at its table. Choose another table, or wait until they leave.'),
      };
    case 'tables':
      return {
        label: gettext('No table'),
        meaning: gettext('Its table was taken out of use or no longer seats the party. Choose another table.'),
      };
    case 'hours':
      return {
        label: gettext('Closed then'),
        meaning: gettext('The restaurant is now closed at that time. Agree on another time with the guest.'),
      };
    case 'zone':
      return {
        label: gettext('Clock changed'),
        meaning: gettext(
          'The time zone was changed: the guest was given another time. Set the time agreed with the guest.',
        ),
      };
    default:
      return { label: gettext('Needs attention'), meaning: gettext('Needs attention') };
  }
}

/**
 * What of a booking's look changes by the clock too.
 * @param {Booking} booking
 */
export const lookOf = (booking) => [tone(booking), ...flagsOf(booking)].join();

/** @param {Booking} booking */
export const attentionText = (booking) =>
  flagsOf(booking)
    .map((flag) => flagTexts(flag).meaning)
    .join(' ');

/** @param {Booking} booking */
export const flagChips = (booking) =>
  flagsOf(booking).map((flag) => {
    const { label, meaning } = flagTexts(flag);
    return h('span', { class: 'flag', 'data-flag': flag, title: meaning }, icon('flag', meaning), h('span', {}, label));
  });

/**
 * The guests of each quarter hour.
 * @param {number} from
 * @param {number} to
 */
export function coversByQuarter(from, to) {
  const covers = /** @type {number[]} */ (new Array(Math.ceil((to - from) / QUARTER)).fill(0));
  for (const booking of board.bookings.values()) {
    if (!occupiesTables(booking) || !isInShownSector(booking)) continue;
    const first = Math.max(0, Math.floor((beginsAt(booking) - from) / QUARTER));
    const end = Math.min(covers.length, Math.ceil((endsAt(booking) - from) / QUARTER));
    for (let index = first; index < end; index += 1) covers[index] += booking.party;
  }
  return covers;
}

/**
 * The booking whose card on the timeline an event is about.
 * @param {Event} event
 */
export const bookingAt = (event) => board.bookings.get(closestTo(event, '.booking')?.dataset.id ?? '');
