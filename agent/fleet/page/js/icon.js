// The icon of the tab: a ring while all is well, a triangle with their number while there are problems.
const icon = document.querySelector("link[rel=icon]");

export function showIcon(problems) {
  icon.href = `data:image/svg+xml,${encodeURIComponent(problems ? trouble(problems) : calm())}`;
}

function calm() {
  return '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="11" fill="none" stroke="#0b7285" stroke-width="6"/></svg>';
}

function trouble(problems) {
  const text = problems > 99 ? "!" : problems;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M16 1 32 31H0z" fill="#c92a2a"/>
    <text x="16" y="27" text-anchor="middle" font-family="sans-serif" font-weight="700" font-size="${problems > 9 ? 14 : 17}" fill="#fff">${text}</text></svg>`;
}
