// htm on Preact: a template becomes nodes, and every value in it becomes text, never markup.
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
