// rights.js - what the account may do, and how things are called.

import {state, titleOf} from "./state.js";

// Why not; "" when it may.
export const allow = (permission) => state.denied(permission);

export function describe(row) {
  if (row.group !== undefined) {
    return `all versions of ${row.group}`;
  }
  return titleOf(row.object);
}
