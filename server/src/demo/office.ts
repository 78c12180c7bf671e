import { present } from '../kernel/assert.ts'
import { announcePasswordReset, findUserByEmail, updateStaff } from '../modules/identity/index.ts'
import { act, mails, sceneOf, sends, type Plot } from './acts.ts'
import { letter } from './papers.ts'
import { demoCustomers, scene } from './people.ts'

/** What belongs to no order and no question: logins, and what customers keep for later. */
export const officePlots: readonly Plot[] = [
  {
    acts: [
      // A colleague leaves.
      act(14, async (stage) => {
        const { userId } = stage.people.staff('former')
        await updateStaff(sceneOf(stage, 14, 'admin'), { userId, patch: { active: false } })
      }),
    ],
  },
  {
    customer: 'joseph',
    acts: [
      // A password is forgotten, and then remembered.
      act(4.05, async ({ ctx }) => {
        const user = await findUserByEmail(ctx.db, 'customer', demoCustomers.joseph.email)
        const { id } = present(user, 'the login of a customer')
        await announcePasswordReset(scene(ctx, 4.05), id)
      }),
      sends(
        1.1,
        'customer',
        letter('lease.pdf', 'Lease of 3 Mill Lane', [
          'Between Northgate Estates and Joseph Bennett,',
          'from the first of March on, for five years.',
        ]),
        { to: 'nothing' },
      ),
    ],
  },
  {
    customer: 'amelia',
    acts: [
      // Somebody wanted to register a second time.
      mails(7.2, ({ people }) => ({
        template: 'account_exists',
        to: demoCustomers.amelia,
        customerId: people.customer('amelia').customerId,
        data: { name: demoCustomers.amelia.name },
      })),
    ],
  },
]
