// The room plan: tables where they stand, coloured by their state now or at another time of the day.

import {
  beginsAt,
  displayName,
  endsAt,
  endText,
  flagChips,
  flagsOf,
  occupiesTables,
  seatsText,
  startText,
  tone,
  toneIcon,
  toneLabel,
} from './bookings.js';
import { HOUR, MINUTE, now, QUARTER, timeText } from './clock.js';
import { fill, gettext } from './i18n.js';
import { page } from './page.js';
import { messageOf, post } from './server.js';
import { board, boardChanged } from './store.js';
import { errorToast, focusedElement, h, icon, setStyle, toast } from './ui.js';

/** @import { Tone } from './bookings.js' */
/** @import { Navigation } from './main.js' */
/** @import { Booking, Sector, Table } from './store.js' */

/**
 * @typedef {object} TableState
 * @property {Tone | 'block' | 'soon' | 'retired' | ''} kind the CSS class
 * @property {Booking | null} booking whose party is, or should be, at the table
 * @property {string} label
 * @property {string} line what the table shows below its name; its seats if empty
 * @property {string} until
 * @property {string} shortUntil `until` where there is little room
 */

/** Centimetres: tables are put at multiples of it. */
const GRID = 10;
/** Centimetres around the outermost tables. */
const MARGIN = 60;
/** Pixels for a centimetre: with fewer, tables get too small to touch; with more, they look coarse. */
const MIN_SCALE = 0.62;
const MAX_SCALE = 1.35;
const BESIDE_ROOM_PX = 38;
const BELOW_ROOM_PX = 130;
/** Centimetres: a narrower table shows only the first word of a name. */
const WIDE_ENOUGH_FOR_NAMES = 150;
const WIDE_ENOUGH_FOR_SENTENCES_PX = 86;
const SOON_MS = 2 * HOUR;
const SAVE_DELAY_MS = 400;

/** @type {Record<string, [number, number]>} */
const STEPS = { ArrowLeft: [-GRID, 0], ArrowRight: [GRID, 0], ArrowUp: [0, -GRID], ArrowDown: [0, GRID] };

export class RoomPlan {
  /** @param {Navigation} navigation */
  constructor(navigation) {
    this.navigation = navigation;
    /** @type {number | null} The instant shown; null for the present. */
    this.shownAt = null;
    this.isEditing = false;
    this.isDragging = false;
    /** Whether a redraw was put off while a table was dragged. */
    this.isStale = false;
    /** @type {HTMLElement | null} */
    this.element = null;
    /** @type {number | undefined} */
    this.saving = undefined;
  }

  get at() {
    return this.shownAt ?? now();
  }

  /** @param {HTMLElement} container */
  render(container) {
    if (this.isDragging) {
      this.isStale = true;
      return;
    }
    const focused = focusedElement()?.dataset.table;
    const scrollTop = this.element?.scrollTop ?? 0;
    const element = h('div', { class: this.isEditing ? 'plan editing' : 'plan' });
    for (const sector of board.day.sectors) {
      if ((board.sector && board.sector !== sector.id) || !sector.tables.length) continue;
      element.append(h('h2', {}, sector.name), this.room(sector, container));
    }
    container.replaceChildren(element, this.bar());
    element.scrollTop = scrollTop;
    this.element = element;
    if (focused) /** @type {HTMLElement | null} */ (element.querySelector(`[data-table="${focused}"]`))?.focus();
  }

  /** The present moves on. */
  tick() {
    if (this.shownAt === null && !this.isEditing) boardChanged();
  }

  /**
   * @param {Sector} sector
   * @param {HTMLElement} container
   */
  room(sector, container) {
    const right = Math.max(...sector.tables.map((table) => table.x + table.w)) + MARGIN;
    const bottom = Math.max(...sector.tables.map((table) => table.y + table.h)) + MARGIN;
    const width = container.clientWidth - BESIDE_ROOM_PX;
    const height = container.clientHeight - BELOW_ROOM_PX;
    const scale = Math.min(width / right, Math.max(height / bottom, MIN_SCALE), MAX_SCALE);
    const style = { height: `${bottom * scale}px`, width: `${Math.min(width, right * scale)}px` };
    return h('div', { class: 'room', style }, ...sector.tables.map((table) => this.table(table, scale)));
  }

  /**
   * @param {Table} table
   * @returns {TableState}
   */
  state(table) {
    const { at } = this;
    const block = board.day.blocks.find((each) => each.table === table.id && each.start <= at && at < each.end);
    if (block)
      return {
        kind: 'block',
        booking: null,
        label: gettext('Blocked'),
        line: block.reason,
        ...until(timeText(block.end)),
      };
    const bookings = [...board.bookings.values()]
      .filter((booking) => occupiesTables(booking) && booking.tables.includes(table.id))
      .sort((a, b) => a.start - b.start);
    const isNow = this.shownAt === null;
    const current =
      bookings.find((booking) => isNow && booking.status === 'SEATED') ??
      bookings.find((booking) => beginsAt(booking) <= at && at < endsAt(booking) && booking.status !== 'COMPLETED');
    if (current) {
      const kind = isNow ? tone(current) : current.status;
      const name = displayName(current);
      const shortName = table.w < WIDE_ENOUGH_FOR_NAMES ? name.split(' ')[0] : name;
      const line = `${current.party} · ${shortName}`;
      const lasts = kind === 'over' ? overTime(at - current.end) : until(endText(current));
      return { kind, booking: current, label: toneLabel(kind), line, ...lasts };
    }
    if (isNow && board.day.heldTables.includes(table.id)) {
      const line = gettext('Party of another day');
      return { kind: 'SEATED', booking: null, label: toneLabel('SEATED'), line, until: '', shortUntil: '' };
    }
    const next = bookings.find((booking) => booking.start > at && booking.status === 'CONFIRMED');
    if (next) {
      const time = startText(next);
      return {
        kind: table.retired ? 'retired' : next.start - at < SOON_MS ? 'soon' : '',
        booking: null,
        label: fill(gettext('free until %(time)s'), { time }),
        line: '',
        until: fill(gettext('next %(time)s'), { time }),
        shortUntil: `→ ${time}`,
      };
    }
    const line = table.retired ? gettext('Out of use') : '';
    return { kind: '', booking: null, label: line || gettext('Free'), line, until: '', shortUntil: '' };
  }

  /**
   * @param {Table} table
   * @param {number} scale pixels for a centimetre
   */
  table(table, scale) {
    const state = this.state(table);
    const isSelected = state.booking !== null && board.selected === state.booking.id;
    const flagged = [...board.bookings.values()].find(
      (booking) => flagsOf(booking).length > 0 && booking.tables.includes(table.id),
    );
    const hasIcon = state.kind && !['soon', 'retired'].includes(state.kind);
    const text = table.w * scale < WIDE_ENOUGH_FOR_SENTENCES_PX ? state.shortUntil : state.until;
    const element = h(
      'button',
      {
        type: 'button',
        class: ['table', table.shape, state.kind, isSelected && 'selected'].filter(Boolean).join(' '),
        'data-table': table.id,
        style: {
          left: `${table.x * scale}px`,
          top: `${table.y * scale}px`,
          width: `${table.w * scale}px`,
          height: `${table.h * scale}px`,
        },
        onclick: () => {
          if (!this.isEditing) this.open(table, state);
        },
      },
      h('span', { class: 'sr-only' }, gettext('Table')),
      h('span', { class: 'name' }, hasIcon ? icon(toneIcon(state.kind)) : null, table.name),
      ...(flagged ? flagChips(flagged) : []),
      h(
        'span',
        { class: 'sr-only' },
        `${fill(gettext('seats %(seats)s'), { seats: seatsText(table) })}, ${state.label}`,
      ),
      h('span', { class: 'line' }, state.line || seatsText(table)),
      state.until ? h('span', { class: 'until', title: state.until }, text) : null,
    );
    if (this.isEditing) this.makeMovable(element, table, scale);
    return element;
  }

  /**
   * @param {Table} table
   * @param {TableState} state
   */
  open(table, state) {
    if (state.booking) this.navigation.openBooking(state.booking);
    else this.navigation.openTable(table, this.shownAt);
  }

  /** The controls below: which time the plan shows, and whether tables can be moved. */
  bar() {
    const { at } = this;
    const label = h('output', {}, this.shownAt === null ? `${gettext('Now')} · ${timeText(at)}` : roomAt(at));
    const slider = h('input', {
      type: 'range',
      min: board.day.from,
      max: board.day.to,
      step: QUARTER,
      value: at,
      'aria-label': gettext('Time'),
      'aria-valuetext': timeText(at),
      oninput: () => {
        this.shownAt = Number(slider.value);
        label.textContent = roomAt(this.shownAt);
        slider.setAttribute('aria-valuetext', timeText(this.shownAt));
      },
      onchange: boardChanged,
    });
    const showNow = () => {
      this.shownAt = null;
      boardChanged();
    };
    const toggleEditing = () => {
      this.isEditing = !this.isEditing;
      if (this.isEditing) toast(gettext('Drag a table, or move it with the arrow keys. Each move is saved.'));
      boardChanged();
    };
    const edit = {
      type: 'button',
      class: this.isEditing ? 'solid' : 'soft',
      'aria-pressed': String(this.isEditing),
      onclick: toggleEditing,
    };
    return h(
      'div',
      { class: 'planbar' },
      label,
      slider,
      h('button', { type: 'button', class: 'soft', onclick: showNow }, gettext('Now')),
      board.day.may.tables && h('button', edit, this.isEditing ? gettext('Done') : gettext('Arrange tables')),
    );
  }

  /**
   * @param {HTMLElement} element
   * @param {Table} table
   * @param {number} scale pixels for a centimetre
   */
  makeMovable(element, table, scale) {
    /** @type {(x: number, y: number) => void} */
    const put = (x, y) => {
      table.x = Math.max(0, Math.round(x / GRID) * GRID);
      table.y = Math.max(0, Math.round(y / GRID) * GRID);
      setStyle(element, { left: `${table.x * scale}px`, top: `${table.y * scale}px` });
    };
    /** @type {(oldX: number, oldY: number) => Promise<void>} */
    const save = async (oldX, oldY) => {
      try {
        const { id, x, y } = table;
        await post('tables', { restaurantId: page.restaurant, tables: [{ id, x, y }] });
      } catch (refusal) {
        put(oldX, oldY);
        errorToast(messageOf(refusal));
      }
    };
    element.addEventListener('pointerdown', (down) => {
      const { x, y } = table;
      this.isDragging = true;
      element.setPointerCapture(down.pointerId);
      /** @type {(event: PointerEvent) => void} */
      const follow = (event) =>
        put(x + (event.clientX - down.clientX) / scale, y + (event.clientY - down.clientY) / scale);
      const drop = async () => {
        element.removeEventListener('pointermove', follow);
        this.isDragging = false;
        const mustRedraw = this.isStale;
        this.isStale = false;
        const moved = table.x !== x || table.y !== y;
        if (moved) await save(x, y);
        if (moved || mustRedraw) boardChanged();
      };
      element.addEventListener('pointermove', follow);
      element.addEventListener('lostpointercapture', drop, { once: true });
    });
    element.addEventListener('keydown', (event) => {
      const step = STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      const { x, y } = table;
      put(x + step[0], y + step[1]);
      clearTimeout(this.saving);
      this.saving = setTimeout(() => save(x, y), SAVE_DELAY_MS);
    });
  }
}

/** @param {number} instant */
const roomAt = (instant) => fill(gettext('Room at %(time)s'), { time: timeText(instant) });

/** @param {string} time */
const until = (time) => ({ until: fill(gettext('until %(time)s'), { time }), shortUntil: time });

/** @param {number} milliseconds */
function overTime(milliseconds) {
  const minutes = Math.floor(milliseconds / MINUTE);
  return { until: fill(gettext('%(minutes)s min over'), { minutes }), shortUntil: `+${minutes}′` };
}
