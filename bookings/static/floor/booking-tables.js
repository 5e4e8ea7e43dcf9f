// The admin's form of a new booking: another restaurant brings its own tables into the picker.

const restaurant = document.getElementById('id_restaurant');
const tables = document.getElementById('id_tables');

if (restaurant instanceof HTMLSelectElement && tables instanceof HTMLSelectElement) {
  restaurant.addEventListener('change', async () => {
    const chosen = restaurant.value;
    const response = await fetch(`?${new URLSearchParams({ restaurant: chosen })}`);
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    const offered = page.getElementById('id_tables');
    // A slower answer about an earlier choice comes too late.
    if (offered && chosen === restaurant.value) tables.replaceChildren(...offered.children);
  });
}
