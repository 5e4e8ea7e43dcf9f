// The timeline by keyboard: arrows go from booking to booking, and letters and signs change the focused one.

import { changeStatus, move } from './actions.js';
import { bookingAt, isAllowed, isChangeable, isInUse } from './bookings.js';
import { floorToQuarter, QUARTER } from './clock.js';
import { gettext } from './i18n.js';
import { tablesOver } from './table-sets.js';
import { drop } from './timeline-drag.js';
import { announce, h, toast } from './ui.js';

/** @import { Booking } from './store.js' */
/** @import { Timeline } from './timeline.js' */

/**
 * @typedef {object} Move a booking under way, until Enter or Escape
 * @property {string} id
 * @property {number} start
 * @property {string[]} tables
 * @property {string} grabbed the table by which it is moved
 * @property {number} row that of the table it is over
 * @property {HTMLElement} outline
 */

const STEP_MINUTES = 15;
/** Pixels sideways count more than pixels ahead, so that an arrow stays in its row or column. */
const SIDEWAYS_COST = 3;

/** @type {Record<string, [number, number]>} */
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class TimelineKeyboard {
  /** @param {Timeline} timeline */
  constructor(timeline) {
    this.timeline = timeline;
    /** @type {Move | null} */
    this.move = null;
  }

  /** Put the outline of the move under way into a canvas that was drawn anew. */
  redraw() {
    if (this.move) this.timeline.canvas.append(this.move.outline);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const booking = bookingAt(event);
    if (!booking || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.move?.id === booking.id) {
      this.continueMove(this.move, event, booking);
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    this.endMove();
    const command = this.commandOf(event.key, booking);
    if (!command) return;
    command();
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * @param {string} key
   * @param {Booking} booking
   * @returns {(() => void) | null}
   */
  commandOf(key, booking) {
    const direction = DIRECTIONS[key];
    if (direction) return () => this.focusNext(booking, ...direction);
    const steps = booking.minutes / STEP_MINUTES;
    const isFree = isChangeable(booking) && !booking.pending;
    switch (key.toLowerCase()) {
      case '+':
      case '=':
        return isFree ? () => move(booking, { minutes: (Math.floor(steps) + 1) * STEP_MINUTES }) : null;
      case '-':
        return isFree && steps > 1 ? () => move(booking, { minutes: (Math.ceil(steps) - 1) * STEP_MINUTES }) : null;
      case 'm':
        return isFree ? () => this.beginMove(booking) : null;
      case 's':
        return booking.status === 'CONFIRMED' && isAllowed(booking, 'seat')
          ? () => changeStatus(booking, 'seat')
          : null;
      case 'c':
        return isAllowed(booking, 'complete') ? () => changeStatus(booking, 'complete') : null;
      default:
        return null;
    }
  }

  /**
   * Focus the nearest booking in a direction.
   * @param {Booking} booking
   * @param {number} dx
   * @param {number} dy
   */
  focusNext(booking, dx, dy) {
    /** @type {(booking: Booking) => [number, number]} */
    const place = (each) => [this.timeline.x(each.start), this.timeline.tops.get(each.tables[0]) ?? 0];
    const [x, y] = place(booking);
    let nearest = null;
    let lowestCost = Infinity;
    for (const other of this.timeline.drawn) {
      const [otherX, otherY] = place(other);
      const ahead = dx ? (otherX - x) * dx : (otherY - y) * dy;
      const sideways = dx ? Math.abs(otherY - y) : Math.abs(otherX - x);
      const cost = ahead + sideways * SIDEWAYS_COST;
      if (other.id === booking.id || ahead <= 0 || cost >= lowestCost) continue;
      lowestCost = cost;
      nearest = other;
    }
    if (!nearest) return;
    this.timeline.canvas.querySelector('.booking[tabindex="0"]')?.setAttribute('tabindex', '-1');
    const card = this.timeline.reveal(nearest.id);
    card?.setAttribute('tabindex', '0');
    card?.focus({ preventScroll: true });
  }

  /** @param {Booking} booking */
  beginMove(booking) {
    const { id, start, tables } = booking;
    const [grabbed] = tables;
    this.move = { id, start, tables, grabbed, row: this.timeline.rows.indexOf(grabbed), outline: h('div', {}) };
    this.timeline.canvas.append(this.move.outline);
    this.timeline.showTarget(this.move.outline, booking, this.move);
    toast(gettext('Moving: use the arrow keys, then Enter to drop or Escape to cancel.'));
  }

  endMove() {
    if (!this.move) return;
    this.move.outline.remove();
    this.timeline.markSwap(null);
    this.move = null;
  }

  /**
   * @param {Move} current
   * @param {KeyboardEvent} event
   * @param {Booking} booking
   */
  continueMove(current, event, booking) {
    if (event.key === 'Escape' || event.key === 'Enter') {
      this.endMove();
      if (event.key === 'Enter') drop(booking, { start: current.start, tables: current.tables });
      return;
    }
    const [dx, dy] = DIRECTIONS[event.key] ?? [0, 0];
    if (dx && booking.status === 'SEATED') {
      announce(gettext('The party is seated: only its table and its end can change.'));
      return;
    }
    if (dx) current.start = floorToQuarter(current.start) + dx * QUARTER;
    if (dy) {
      current.row = this.nextRow(current, dy);
      current.tables = tablesOver(booking, current.grabbed, this.timeline.rows[current.row]);
    }
    announce(this.timeline.showTarget(current.outline, booking, current));
  }

  /**
   * The next row whose table is in use, or was the booking's own; the same if there is none.
   * @param {Move} current
   * @param {number} step
   */
  nextRow({ row, grabbed }, step) {
    const { rows } = this.timeline;
    let next = row + step;
    while (rows[next] && rows[next] !== grabbed && !isInUse(rows[next])) next += step;
    return rows[next] ? next : row;
  }
}
