// Times on the restaurant's own clocks, whatever zone the browser is in, and calendar dates.

import { locale } from './page.js';

export const MINUTE = 60_000;
export const QUARTER = 15 * MINUTE;
export const HOUR = 60 * MINUTE;

/** @type {Intl.DateTimeFormatOptions} */
const TIME = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };

/** Milliseconds by which the server's clock is ahead of the browser's. */
let offset = 0;
let timeFormat = new Intl.DateTimeFormat(locale, TIME);
let dateTimeFormat = timeFormat;

/**
 * @param {string} zone the restaurant's time zone
 * @param {number} serverNow in milliseconds of the Unix epoch, as every instant here
 */
export function setClock(zone, serverNow) {
  offset = serverNow - Date.now();
  timeFormat = new Intl.DateTimeFormat(locale, { ...TIME, timeZone: zone });
  dateTimeFormat = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', ...TIME, timeZone: zone });
}

/** The present instant by the server's clock. */
export const now = () => Date.now() + offset;

/** @param {number} instant */
export const timeText = (instant) => timeFormat.format(instant);

/** @param {number} instant */
export const dateTimeText = (instant) => dateTimeFormat.format(instant);

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
