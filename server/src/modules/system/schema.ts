import { Type } from 'typebox'
import { oneOf } from '../../kernel/shapes.ts'

export const Liveness = Type.Object({ status: oneOf(['pass']) })
