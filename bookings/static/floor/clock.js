// Times on the restaurant's own clocks, whatever zone the browser is in, and calendar dates.

import { locale } from './page.js';

export const MINUTE = 60_000;
export const QUARTER = 15 * MINUTE;
export const HOUR = 60 * MINUTE;

// The server says what the restaurant's clocks show: the browser's own zone data may be older, or lack the zone. So
// wall times are formatted as if they were UTC.
/** @type {Intl.DateTimeFormatOptions} */
const TIME = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: 'UTC' };
const timeFormat = new Intl.DateTimeFormat(locale, TIME);
const dateTimeFormat = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', ...TIME });

/** Milliseconds by which the server's clock is ahead of the browser's. */
let ahead = 0;
/**
 * From each instant on, the seconds by which the restaurant's clocks are ahead of UTC.
 * @type {[number, number][]}
 */
let offsets = [];

/**
 * @param {number} serverNow in milliseconds of the Unix epoch, as every instant here
 * @param {[number, number][]} zoneOffsets in order; they count around the day shown and the present
 */
export function setClock(serverNow, zoneOffsets) {
  ahead = serverNow - Date.now();
  offsets = zoneOffsets;
}

/** The present instant by the server's clock. */
export const now = () => Date.now() + ahead;

/**
 * What the restaurant's clocks show at an instant, as an instant at which UTC shows the same.
 * @param {number} instant
 */
function asUtc(instant) {
  const [, seconds] = offsets.findLast(([from]) => from <= instant) ?? offsets[0] ?? [0, 0];
  return instant + seconds * 1000;
}

/**
 * What the restaurant's clocks show at an instant.
 * @param {number} instant
 * @returns {string} YYYY-MM-DDTHH:MM, as the server writes wall times
 */
export const wallAt = (instant) => new Date(asUtc(instant)).toISOString().slice(0, 16);

/** @param {number} instant */
export const timeText = (instant) => timeFormat.format(asUtc(instant));

/** @param {number} instant */
export const dateTimeText = (instant) => dateTimeFormat.format(asUtc(instant));

/** @param {string} wall */
export const wallTimeText = (wall) => timeFormat.format(Date.parse(`${wall}Z`));

/** @param {string} wall */
export const wallDateTimeText = (wall) => dateTimeFormat.format(Date.parse(`${wall}Z`));

/** @param {number} instant */
export const floorToQuarter = (instant) => Math.floor(instant / QUARTER) * QUARTER;

/** @param {number} instant */
export const isoInstant = (instant) => new Date(instant).toISOString();

/**
 * A calendar date in words.
 * @param {string} date YYYY-MM-DD
 */
export function dateText(date, withYear = true) {
  /** @type {Intl.DateTimeFormatOptions} */
  const parts = { weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC' };
  if (withYear) parts.year = 'numeric';
  return new Intl.DateTimeFormat(locale, parts).format(new Date(`${date}T00:00:00Z`));
}

/**
 * @param {string} date YYYY-MM-DD
 * @param {number} days
 */
export function addDays(date, days) {
  const moved = new Date(`${date}T00:00:00Z`);
  moved.setUTCDate(moved.getUTCDate() + days);
  return moved.toISOString().slice(0, 10);
}
