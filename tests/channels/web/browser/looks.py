"""What a page is asked about its own looks: each gives a list of faults. Deliberately absent: taste."""

from __future__ import annotations

NAMELESS_OR_SMALL = """() => {
  const faults = [];
  for (const e of document.querySelectorAll('a, button, input, textarea, [role]')) {
    if (!e.checkVisibility()) continue;
    const titled = document.getElementById(e.getAttribute('aria-labelledby'));
    const name = e.labels?.[0]?.textContent || e.getAttribute('aria-label') || e.textContent || titled?.textContent;
    const mayBeEmpty = e.matches('[role=alert], [role=status], [role=log]');
    if (!name?.trim() && !mayBeEmpty) faults.push('no name: ' + e.outerHTML.slice(0, 90));
    const box = e.getBoundingClientRect();
    const isSmall = box.width > 0 && (box.width < 24 || box.height < 24);
    if (e.matches('button, input, textarea') && isSmall) faults.push('small: ' + e.outerHTML.slice(0, 90));
  }
  return faults;
}"""
"""Controls without a name, or smaller than 24 by 24 pixels (WCAG 2.2, 4.1.2 and 2.5.8)."""

CONTRAST = """() => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return rgba(getComputedStyle(document.body).backgroundColor);
  };
  const faults = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const e = node.parentElement;
    const isHidden = e.closest('.hidden, .skip, noscript, script') || !e.checkVisibility({ opacityProperty: true });
    if (!node.data.trim() || isHidden) continue;
    const [low, high] = [light(rgba(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => x - y);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) faults.push(node.data.trim().slice(0, 40) + ' ' + ratio.toFixed(2));
  }
  return faults;
}"""
"""Texts below 4.5 : 1 (WCAG 2.2, 1.4.3)."""
