import type { Module } from '../http/module.ts'

/** The modules, in the order of the module map: whom others use stands first. */
export const modules: readonly Module[] = []
