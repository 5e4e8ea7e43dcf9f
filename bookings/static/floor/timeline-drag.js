// Dragging on the timeline: a booking to another table or time, or its end to make it longer or shorter.

import { move, offerSwap } from './actions.js';
import { bookingAt, endsAt, isChangeable, isInUse } from './bookings.js';
import { floorToQuarter, MINUTE, QUARTER, timeText } from './clock.js';
import { fill, gettext } from './i18n.js';
import { board, boardChanged } from './store.js';
import { swapPartner, tablesOver } from './table-sets.js';
import { closestTo, h, setStyle } from './ui.js';

/** @import { Booking } from './store.js' */
/** @import { Spot, Timeline } from './timeline.js' */

/**
 * @typedef {{ minutes: number }} Length
 *
 * @typedef {object} Drag
 * @property {Booking} booking
 * @property {HTMLElement} card
 * @property {PointerEvent} origin
 * @property {{ table: string | undefined, instant: number }} grabbed
 * @property {boolean} isResize
 * @property {HTMLElement[]} cards
 * @property {HTMLElement} outline
 * @property {HTMLElement} tip
 * @property {Spot | Length | null} target
 */

/** A pointer that moves less has clicked. */
const CLICK_PX = 5;
/** How long a finger rests on a booking to lift it; one that moves before scrolls. */
const HOLD_MS = 280;

export class TimelineDrag {
  /** @param {Timeline} timeline */
  constructor(timeline) {
    this.timeline = timeline;
    this.isLifted = false;
    /** Whether the last press became a drag, so that the click after it opens nothing. */
    this.hasMoved = false;
    /** Whether a redraw was put off during the drag. */
    this.isStale = false;
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.hasMoved = false;
    const card = closestTo(event, '.booking');
    const booking = bookingAt(event);
    if (event.button !== 0 || !card || !booking || booking.pending || !isChangeable(booking)) return;
    this.track({
      booking,
      card,
      origin: event,
      grabbed: this.timeline.spotAt(event),
      isResize: closestTo(event, '.grip') !== null,
      cards: [],
      outline: h('div', {}),
      tip: h('div', { class: 'tip' }),
      target: null,
    });
  }

  /**
   * Follow the pointer until it is released.
   * @param {Drag} drag
   */
  track(drag) {
    const { origin } = drag;
    const listening = new AbortController();
    const { signal } = listening;
    const holding = origin.pointerType === 'touch' ? setTimeout(() => this.lift(drag), HOLD_MS) : undefined;
    const finish = () => {
      clearTimeout(holding);
      listening.abort();
      this.release(drag);
    };
    /** @type {(event: PointerEvent) => void} */
    const onMove = (event) => {
      if (!this.isLifted) {
        if (Math.hypot(event.clientX - origin.clientX, event.clientY - origin.clientY) <= CLICK_PX) return;
        if (holding !== undefined) {
          finish();
          return;
        }
        this.lift(drag);
      }
      this.follow(drag, event);
    };
    const cancel = () => {
      drag.target = null;
      finish();
    };
    window.addEventListener('pointermove', onMove, { signal });
    window.addEventListener('pointerup', finish, { signal });
    window.addEventListener('pointercancel', cancel, { signal });
    window.addEventListener('keydown', (event) => event.key === 'Escape' && cancel(), { signal });
    // Once a finger has lifted a booking, the page must not scroll.
    const hold = (/** @type {TouchEvent} */ event) => this.isLifted && event.preventDefault();
    window.addEventListener('touchmove', hold, { passive: false, signal });
  }

  /** @param {Drag} drag */
  lift(drag) {
    this.isLifted = true;
    this.hasMoved = true;
    drag.cards = this.timeline.cardsOf(drag.booking.id);
    for (const card of drag.cards) card.classList.add('lifted');
    this.timeline.canvas.append(drag.outline);
    document.body.append(drag.tip);
    this.follow(drag, drag.origin);
  }

  /**
   * @param {Drag} drag
   * @param {PointerEvent} event
   */
  follow(drag, event) {
    const { booking, grabbed, origin } = drag;
    const under = this.timeline.spotAt(event);
    const shift = Math.round((under.instant - grabbed.instant) / QUARTER) * QUARTER;
    setStyle(drag.tip, { left: `${event.clientX + 14}px`, top: `${event.clientY + 16}px` });
    if (drag.isResize) {
      // The edge that was grabbed follows the pointer: of a party that stays over its time, it is at the present.
      const quarters = Math.max(1, Math.round((endsAt(booking) - booking.start + shift) / QUARTER));
      const length = quarters * QUARTER;
      drag.target = { minutes: length / MINUTE };
      const width = this.timeline.x(booking.start + length) - this.timeline.leftOf(booking) - 2;
      setStyle(drag.card, { width: `${width}px` });
      drag.tip.textContent = fill(gettext('until %(time)s'), { time: timeText(booking.start + length) });
      return;
    }
    const translate = `${event.clientX - origin.clientX}px ${event.clientY - origin.clientY}px`;
    for (const card of drag.cards) setStyle(card, { translate });
    // A seated party stays where it is in time.
    const start = booking.status === 'SEATED' ? booking.start : floorToQuarter(booking.start + shift + QUARTER / 2);
    const over = under.table !== grabbed.table && isInUse(under.table) ? under.table : undefined;
    const tables = over && grabbed.table ? tablesOver(booking, grabbed.table, over) : booking.tables;
    drag.target = { start, tables };
    drag.tip.textContent = this.timeline.showTarget(drag.outline, booking, drag.target);
  }

  /** @param {Drag} drag */
  release(drag) {
    const wasLifted = this.isLifted;
    this.isLifted = false;
    const mustRedraw = wasLifted || this.isStale;
    this.isStale = false;
    drag.outline.remove();
    drag.tip.remove();
    for (const card of drag.cards) {
      card.classList.remove('lifted');
      setStyle(card, { translate: '' });
    }
    this.timeline.markSwap(null);
    if (wasLifted && drag.target) drop(drag.booking, drag.target);
    if (mustRedraw) boardChanged();
  }
}

/**
 * Move a booking, or offer a swap with the one that is there.
 * @param {Booking} dragged as it was when the drag began
 * @param {Spot | Length} target
 */
export function drop(dragged, target) {
  const booking = board.bookings.get(dragged.id) ?? dragged;
  const other = 'tables' in target ? swapPartner(booking, target) : null;
  if (!other) {
    move(booking, target);
    return;
  }
  boardChanged();
  offerSwap(booking, other);
}
