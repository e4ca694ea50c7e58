// A link from another site arrives without the cookie, which is for our own pages only: ask again from here.
import { get } from "./api.js";

try {
  await get("/web/me");
  location.reload();
} catch {
  // Not signed in: the page says what to do.
}
