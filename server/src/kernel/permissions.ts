/** What a staff token may do; the names are part of the contract. */
export const permissions = [
  'catalog:read',
  'catalog:write',
  'customers:read',
  'customers:write',
  'orders:read',
  'orders:write',
  'orders:status',
  'payments:read',
  'payments:write',
  'crm:read',
  'crm:write',
  'documents:read',
  'documents:write',
  'notifications:read',
  'notifications:write',
  'users:read',
  'users:write',
  'system:read',
  'system:write',
] as const
export type Permission = (typeof permissions)[number]

export const staffRoles = ['admin', 'manager', 'agent', 'finance', 'viewer'] as const
export type StaffRole = (typeof staffRoles)[number]

const readOnly = [
  'catalog:read',
  'customers:read',
  'orders:read',
  'payments:read',
  'crm:read',
  'documents:read',
] as const

/** Which role holds which permissions. */
export const permissionsOfRole: Readonly<Record<StaffRole, readonly Permission[]>> = {
  admin: permissions,
  manager: permissions.filter((permission) => permission !== 'users:write'),
  agent: [
    'catalog:read',
    'customers:read',
    'orders:read',
    'orders:status',
    'crm:read',
    'crm:write',
    'documents:read',
    'documents:write',
  ],
  finance: [
    'catalog:read',
    'customers:read',
    'orders:read',
    'orders:write',
    'orders:status',
    'payments:read',
    'payments:write',
  ],
  viewer: readOnly,
}
