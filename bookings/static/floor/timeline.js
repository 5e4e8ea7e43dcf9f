// The timeline: tables as rows, quarter hours across, bookings over their tables.

import {
  act,
  called,
  coversAt,
  day,
  endOf,
  flag,
  here,
  holds,
  move,
  offerSwap,
  quarterBelow,
  tableNames,
  tone,
  toneIcon,
  toneWord,
  usable,
  wrong,
} from './store.js';
import { partner, setAt } from './table-sets.js';
import { clock, h, icon, QUARTER, say, t, toast } from './ui.js';

const GAP = 28;
const HOLD = 280;

export class Timeline {
  constructor(open) {
    this.open = open;
    this.element = null;
    this.moving = null;
  }

  get slot() {
    return parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--slot'));
  }
  get row() {
    return parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--row'));
  }

  x(ms) {
    return ((ms - this.from) / QUARTER) * this.px;
  }

  render(room) {
    // What is being dragged stays under the finger; the picture is drawn again when it is let go.
    if (this.drag?.live) {
      this.stale = true;
      return;
    }
    const fresh = !this.element || !room.contains(this.element);
    const focused = document.activeElement?.dataset?.id;
    const { scrollLeft = 0, scrollTop = 0 } = this.element ?? {};
    this.px = this.slot;
    this.high = this.row;
    this.from = day.data.from;
    this.to = day.data.to;
    this.build();
    room.replaceChildren(this.element);
    if (fresh || this.shown !== day.date) this.toNow();
    else {
      this.element.scrollLeft = scrollLeft;
      this.element.scrollTop = scrollTop;
    }
    this.shown = day.date;
    if (focused) this.element.querySelector(`.bk[data-id="${focused}"]`)?.focus({ preventScroll: true });
  }

  build() {
    const width = Math.ceil((this.to - this.from) / QUARTER) * this.px;
    this.tops = new Map();
    this.order = [];
    const labels = h('div', { class: 'tl-labels' });
    const canvas = h('div', {
      class: 'tl-canvas',
      onpointerdown: (event) => this.press(event),
      onclick: (event) => this.clickCanvas(event),
      onkeydown: (event) => this.key(event),
    });
    canvas.setAttribute('role', 'group');
    canvas.setAttribute('aria-label', t('bookings'));
    let top = 0;
    for (const sector of day.data.sectors) {
      if (day.sector && day.sector !== sector.id) continue;
      labels.append(h('div', { class: 'tl-sector' }, sector.name));
      canvas.append(h('div', { class: 'tl-gap', style: { top: `${top}px` } }));
      top += GAP;
      for (const table of sector.tables) {
        this.tops.set(table.id, top);
        this.order.push(table.id);
        const seats = table.min === table.max ? `${table.max}` : `${table.min}-${table.max}`;
        labels.append(
          h(
            'button',
            {
              type: 'button',
              class: table.retired ? 'tl-label retired' : 'tl-label',
              'data-table': table.id,
              onclick: () => this.open.table(table),
            },
            h('span', { class: 'sr' }, t('table')),
            h('b', {}, table.name),
            table.retired
              ? h('span', { title: t('retired') }, icon('CANCELLED', t('retired')))
              : h('span', {}, seats, icon('people'), h('span', { class: 'sr' }, t('covers'))),
          ),
        );
        if (table.retired)
          canvas.append(h('div', { class: 'tl-retired', style: { top: `${top}px`, height: `${this.high}px` } }));
        top += this.high;
        canvas.append(h('div', { class: 'tl-line', style: { top: `${top - 1}px` } }));
      }
    }
    canvas.style.width = `${width}px`;
    canvas.style.height = `${top}px`;
    this.shade(canvas, width);
    for (const held of day.data.blocks) this.drawBlock(canvas, held);
    let first = true;
    const sorted = [...day.bookings.values()]
      .filter((each) => holds(each) && here(each))
      .sort((a, b) => a.start - b.start || (this.tops.get(a.tables[0]) ?? 0) - (this.tops.get(b.tables[0]) ?? 0));
    this.sorted = sorted;
    for (const booking of sorted) {
      const tab = day.selected ? booking.id === day.selected : first;
      if (this.draw(canvas, booking, tab)) first = false;
    }
    if (this.moving) canvas.append(this.moving.ghost);
    this.nowLine = h('div', { class: 'tl-now' }, h('span', {}));
    canvas.append(this.nowLine);
    this.canvas = canvas;
    this.element = h(
      'div',
      { class: 'tl' },
      h('div', { class: 'tl-grid' }, h('div', { class: 'tl-corner' }, t('covers')), this.head(width), labels, canvas),
    );
    this.tick();
  }

  head(width) {
    const head = h('div', { class: 'tl-head', style: { width: `${width}px` } });
    for (let at = this.from; at < this.to; at += 4 * QUARTER)
      head.append(h('div', { class: 'tl-hour', style: { left: `${this.x(at)}px` } }, clock.at(at)));
    const counts = coversAt(this.from, this.to);
    const most = Math.max(...counts, 1);
    let seats = 0;
    for (const id of this.order.filter(usable)) seats += day.tables.get(id).max;
    counts.forEach((count, index) => {
      if (!count) return;
      const left = `${index * this.px}px`;
      const wide = `${this.px - 2}px`;
      const bar = h('div', {
        class: count > seats * 0.85 ? 'tl-bar full' : 'tl-bar',
        style: { left, width: wide, height: `${3 + (22 * count) / most}px` },
      });
      head.append(
        bar,
        h(
          'div',
          {
            class: 'tl-count',
            style: { left, width: wide, bottom: `${4 + (22 * count) / most}px` },
            title: t('coversAt', { covers: count, time: clock.at(this.from + index * QUARTER) }),
          },
          String(count),
        ),
      );
    });
    return head;
  }

  shade(canvas, width) {
    let at = this.from;
    for (const [opens, closes] of [...day.data.open, [this.to, this.to]]) {
      if (opens > at)
        canvas.append(
          h('div', {
            class: 'tl-shut',
            style: { left: `${this.x(at)}px`, width: `${Math.min(this.x(opens), width) - this.x(at)}px` },
          }),
        );
      at = Math.max(at, closes);
    }
  }

  drawBlock(canvas, held) {
    const top = this.tops.get(held.table);
    if (top === undefined) return;
    const left = this.x(Math.max(held.start, this.from));
    const right = this.x(Math.min(held.end, this.to));
    canvas.append(
      h(
        'button',
        {
          type: 'button',
          class: 'blk',
          'data-block': held.id,
          title: held.reason,
          style: {
            left: `${left + 1}px`,
            width: `${right - left - 2}px`,
            top: `${top + 3}px`,
            height: `${this.high - 7}px`,
          },
          'aria-label': `${t('blocked')}, ${day.tables.get(held.table).name}, ${clock.at(held.start)}-${clock.at(held.end)} ${held.reason}`,
          onclick: (event) => {
            event.stopPropagation();
            this.open.block(held);
          },
        },
        icon('block'),
        h('span', {}, held.reason || t('blocked')),
      ),
    );
  }

  /** Neighbouring rows of these tables as one: [{top, height}]. */
  runs(tables) {
    const runs = [];
    for (const top of tables
      .filter((id) => this.tops.has(id))
      .map((id) => this.tops.get(id))
      .sort((a, b) => a - b)) {
      const last = runs.at(-1);
      if (last && last.top + last.height === top) last.height += this.high;
      else runs.push({ top, height: this.high });
    }
    return runs;
  }

  /** One piece for each run, so that joined tables look joined. */
  draw(canvas, booking, tab) {
    const runs = this.runs(booking.tables);
    const now = tone(booking);
    const end = endOf(booking);
    runs.forEach((run, index) => {
      const classes = [
        'bk',
        booking.status,
        now !== booking.status && now,
        wrong(booking) && 'wrong',
        booking.pending && 'pending',
        booking.back && 'back',
        booking.flash && 'flash',
        day.selected === booking.id && 'on',
      ];
      const wide = Math.max(this.x(end) - this.x(booking.start) - 2, 14);
      const piece = h(
        'button',
        {
          type: 'button',
          class: classes.filter(Boolean).join(' '),
          'data-id': booking.id,
          tabindex: tab && !index ? '0' : '-1',
          style: {
            left: `${this.x(booking.start) + 1}px`,
            width: `${wide}px`,
            top: `${run.top + 3}px`,
            height: `${run.height - 7}px`,
          },
          'aria-label': this.told(booking, now),
          title: this.told(booking, now),
        },
        flag(booking),
        icon(toneIcon(now)),
        h('b', {}, String(booking.party)),
        ' ',
        h('span', { class: 'n' }, called(booking)),
        booking.notes ? icon('note') : null,
        ['CONFIRMED', 'SEATED'].includes(booking.status) && day.data.may.update ? h('span', { class: 'grip' }) : null,
      );
      if (index) piece.setAttribute('aria-hidden', 'true');
      canvas.append(piece);
    });
    return runs.length > 0;
  }

  told(booking, now) {
    // Begins with what is to be read on it, for those who say what they see.
    const parts = [
      `${booking.party} ${called(booking)}`,
      `${clock.at(booking.start)}–${clock.at(endOf(booking))}`,
      `${t('table')} ${tableNames(booking)}`,
      toneWord(now),
    ];
    if (wrong(booking)) parts.push(`${t('attention')}: ${wrong(booking)}`);
    if (booking.notes) parts.push(booking.notes);
    return parts.join(', ');
  }

  tick() {
    const now = clock.now();
    const inside = now >= this.from && now <= this.to;
    this.nowLine.hidden = !inside;
    if (inside) {
      this.nowLine.style.left = `${this.x(now)}px`;
      this.nowLine.firstChild.textContent = clock.at(now);
    }
  }

  toNow() {
    const now = clock.now();
    const first = day.data.open.find(([, closes]) => closes > now)?.[0] ?? day.data.from;
    const at =
      now >= this.from && now <= this.to
        ? Math.max(now - 6 * QUARTER, this.from)
        : Math.max(first - 2 * QUARTER, this.from);
    this.element.scrollLeft = this.x(at);
  }

  reveal(id) {
    const piece = this.element?.querySelector(`.bk[data-id="${id}"]`);
    if (!piece) return null;
    const room = this.element.getBoundingClientRect();
    const box = piece.getBoundingClientRect();
    const left = room.left + this.element.querySelector('.tl-corner').offsetWidth;
    if (box.left < left || box.right > room.right) this.element.scrollLeft += box.left - left - 2 * this.px;
    const top = room.top + this.element.querySelector('.tl-corner').offsetHeight;
    if (box.top < top) this.element.scrollTop -= top - box.top + this.high;
    else if (box.bottom > room.bottom) this.element.scrollTop += box.bottom - room.bottom + this.high;
    return piece;
  }

  // --- pointer -------------------------------------------------------------------------------------------------

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const y = event.clientY - box.top;
    const table = this.order.find((id) => y >= this.tops.get(id) && y < this.tops.get(id) + this.high) ?? null;
    return { table, ms: this.from + ((event.clientX - box.left) / this.px) * QUARTER };
  }

  clickCanvas(event) {
    const piece = event.target.closest('.bk');
    if (piece) {
      if (!this.dragged) this.open.booking(day.bookings.get(piece.dataset.id));
      return;
    }
    if (event.target !== this.canvas || !day.data.may.create) return;
    const { table, ms } = this.place(event);
    if (table && usable(table)) this.open.create({ tables: [table], start: quarterBelow(ms) });
  }

  press(event) {
    this.dragged = false;
    const piece = event.target.closest('.bk');
    if (!piece || event.button !== 0) return;
    const booking = day.bookings.get(piece.dataset.id);
    if (!day.data.may.update || booking.pending || !['CONFIRMED', 'SEATED'].includes(booking.status)) return;
    const drag = {
      booking,
      piece,
      x: event.clientX,
      y: event.clientY,
      resize: event.target.classList.contains('grip'),
      grab: this.place(event),
      live: false,
    };
    this.drag = drag;
    const lift = () => {
      drag.live = true;
      this.dragged = true;
      drag.pieces = this.pieces(booking);
      for (const each of drag.pieces) each.classList.add('lift');
      drag.ghost = h('div', {});
      drag.tip = h('div', { class: 'tip' });
      this.canvas.append(drag.ghost);
      document.body.append(drag.tip);
      this.follow(drag, event);
    };
    const timer = event.pointerType === 'touch' ? setTimeout(lift, HOLD) : null;
    const onMove = (moved) => {
      const far = Math.hypot(moved.clientX - drag.x, moved.clientY - drag.y) > 5;
      if (!drag.live) {
        if (!far) return;
        // A finger that moves before it has rested is scrolling.
        if (timer) {
          finish();
          return;
        }
        lift();
      }
      this.follow(drag, moved);
    };
    const still = (moved) => {
      if (drag.live) moved.preventDefault();
    };
    const finish = (drop = false) => {
      clearTimeout(timer);
      window.removeEventListener('pointermove', onMove);
      window.removeEventListener('pointerup', onUp);
      window.removeEventListener('pointercancel', onCancel);
      window.removeEventListener('touchmove', still);
      window.removeEventListener('keydown', onKey);
      const { target, live } = drag;
      drag.live = false;
      this.drag = null;
      drag.ghost?.remove();
      drag.tip?.remove();
      for (const each of drag.pieces ?? []) {
        each.classList.remove('lift');
        each.style.translate = '';
      }
      this.pointAt(null);
      if (live && drop && target) this.drop(booking, target);
      else if (live || this.stale) this.open.redraw();
      this.stale = false;
    };
    const onUp = () => finish(true);
    const onCancel = () => finish();
    const onKey = (key) => {
      if (key.key === 'Escape') finish();
    };
    window.addEventListener('pointermove', onMove);
    window.addEventListener('pointerup', onUp);
    window.addEventListener('pointercancel', onCancel);
    window.addEventListener('touchmove', still, { passive: false });
    window.addEventListener('keydown', onKey);
  }

  follow(drag, event) {
    const { booking } = drag;
    const at = this.place(event);
    const shift = Math.round((at.ms - drag.grab.ms) / QUARTER) * QUARTER;
    if (drag.resize) {
      const minutes = Math.max(15, Math.round((booking.minutes * 60000 + shift) / QUARTER) * 15);
      drag.target = { minutes };
      drag.piece.style.width = `${(minutes / 15) * this.px - 2}px`;
      this.hint(drag, event, t('until', { time: clock.at(booking.start + minutes * 60000) }));
      return;
    }
    for (const each of drag.pieces) each.style.translate = `${event.clientX - drag.x}px ${event.clientY - drag.y}px`;
    const start = booking.status === 'SEATED' ? booking.start : quarterBelow(booking.start + shift + QUARTER / 2);
    const tables =
      at.table === drag.grab.table || !usable(at.table) ? booking.tables : setAt(booking, drag.grab.table, at.table);
    drag.target = { start, tables };
    this.hint(drag, event, this.aim(drag.ghost, booking, drag.target));
  }

  pieces(booking) {
    return [...this.canvas.querySelectorAll(`.bk[data-id="${booking.id}"]`)];
  }

  /** Show where it would go, and what that means: a move, or a swap with who is there. */
  aim(ghost, booking, target) {
    ghost.replaceChildren(
      ...this.runs(target.tables).map((run) =>
        h('div', {
          class: 'ghost',
          style: {
            left: `${this.x(target.start)}px`,
            width: `${(booking.minutes / 15) * this.px}px`,
            top: `${run.top + 2}px`,
            height: `${run.height - 5}px`,
          },
        }),
      ),
    );
    const other = partner(booking, target);
    this.pointAt(other);
    if (other) return t('swapWith', { name: called(other), table: tableNames(other) });
    return t('moveTo', {
      time: clock.at(target.start),
      table: target.tables.map((id) => day.tables.get(id).name).join(' + '),
    });
  }

  pointAt(other) {
    for (const each of this.canvas.querySelectorAll('.bk.swap')) each.classList.remove('swap');
    if (other) for (const each of this.pieces(other)) each.classList.add('swap');
  }

  drop(given, target) {
    const booking = day.bookings.get(given.id) ?? given;
    const other = target.tables ? partner(booking, target) : null;
    if (!other) {
      move(booking, target);
      return;
    }
    this.open.redraw();
    offerSwap(booking, other);
  }

  hint(drag, event, text) {
    drag.tip.textContent = text;
    drag.tip.style.left = `${event.clientX + 14}px`;
    drag.tip.style.top = `${event.clientY + 16}px`;
  }

  // --- keyboard ------------------------------------------------------------------------------------------------

  key(event) {
    const piece = event.target.closest('.bk');
    if (!piece || event.ctrlKey || event.metaKey || event.altKey) return;
    const booking = day.bookings.get(piece.dataset.id);
    if (this.moving?.id === booking.id) {
      this.keyMove(event, booking);
      return;
    }
    this.endMove();
    const open = ['CONFIRMED', 'SEATED'].includes(booking.status) && day.data.may.update && !booking.pending;
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (steps[event.key]) this.step(booking, ...steps[event.key]);
    else if (open && (event.key === '+' || event.key === '='))
      move(booking, { minutes: (Math.floor(booking.minutes / 15) + 1) * 15 });
    else if (open && event.key === '-' && booking.minutes > 15)
      move(booking, { minutes: (Math.ceil(booking.minutes / 15) - 1) * 15 });
    else if (open && event.key.toLowerCase() === 'm') this.beginMove(booking);
    else if (event.key.toLowerCase() === 's' && booking.status === 'CONFIRMED') act(booking, 'seat');
    else if (event.key.toLowerCase() === 'c' && booking.status === 'SEATED') act(booking, 'complete');
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** To the nearest booking in that direction. */
  step(booking, dx, dy) {
    const spot = (each) => [this.x(each.start), this.tops.get(each.tables[0]) ?? 0];
    const [x, y] = spot(booking);
    let best = null;
    let least = Infinity;
    for (const each of this.sorted) {
      const [ex, ey] = spot(each);
      const along = dx ? (ex - x) * dx : (ey - y) * dy;
      const across = dx ? Math.abs(ey - y) : Math.abs(ex - x);
      if (each.id === booking.id || along <= 0) continue;
      const cost = along + across * 3;
      if (cost < least) {
        least = cost;
        best = each;
      }
    }
    if (!best) return;
    this.canvas.querySelector('.bk[tabindex="0"]')?.setAttribute('tabindex', '-1');
    const piece = this.reveal(best.id);
    piece?.setAttribute('tabindex', '0');
    piece?.focus({ preventScroll: true });
  }

  beginMove(booking) {
    const [grabbed] = booking.tables;
    this.moving = {
      id: booking.id,
      start: booking.start,
      tables: booking.tables,
      grabbed,
      row: this.order.indexOf(grabbed),
      ghost: h('div', {}),
    };
    this.canvas.append(this.moving.ghost);
    this.aim(this.moving.ghost, booking, this.moving);
    toast(t('moving'));
  }

  endMove() {
    if (!this.moving) return;
    this.moving.ghost.remove();
    this.pointAt(null);
    this.moving = null;
  }

  keyMove(event, booking) {
    const moving = this.moving;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === 'Escape' || event.key === 'Enter') {
      this.endMove();
      if (event.key === 'Enter') this.drop(booking, { start: moving.start, tables: moving.tables });
      return;
    }
    if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
      if (booking.status === 'SEATED') {
        say(t('seatedStays'));
        return;
      }
      moving.start = quarterBelow(moving.start) + (event.key === 'ArrowLeft' ? -QUARTER : QUARTER);
    } else if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      const by = event.key === 'ArrowUp' ? -1 : 1;
      let row = moving.row + by;
      while (this.order[row] && this.order[row] !== moving.grabbed && !usable(this.order[row])) row += by;
      if (this.order[row]) moving.row = row;
      moving.tables = setAt(booking, moving.grabbed, this.order[moving.row]);
    }
    say(this.aim(moving.ghost, booking, moving));
  }
}
