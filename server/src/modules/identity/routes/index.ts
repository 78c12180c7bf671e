import type { Endpoint } from '../../../http/endpoint.ts'
import { customerRoutes } from './customers.ts'
import { mailedLinkRoutes } from './mailed-links.ts'
import { ownRoutes } from './own-login.ts'
import { secondFactorRoutes } from './second-factor.ts'
import { cookieRoutes, signInRoutes } from './sign-in.ts'
import { staffRoutes } from './staff.ts'

export const routes: readonly Endpoint[] = [
  ...signInRoutes,
  ...cookieRoutes,
  ...mailedLinkRoutes,
  ...ownRoutes,
  ...secondFactorRoutes,
  ...staffRoutes,
  ...customerRoutes,
]
