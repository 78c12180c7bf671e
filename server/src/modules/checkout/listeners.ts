import { after, type Listener } from '../../platform/events.ts'
import { OrderCancelled } from '../orders/index.ts'
import { PaymentSucceeded, RefundRequested } from '../payments/index.ts'
import { adjustLivePayment, sendRefund } from './usecases/index.ts'

/** What the provider must be told once our own books say it: jobs, with retries. */
export const listeners: readonly Listener[] = [
  after(OrderCancelled, 'end-live-payment', (ctx, { rootId }) => adjustLivePayment(ctx, rootId)),
  after(PaymentSucceeded, 'adjust-live-payment', (ctx, { rootId }) =>
    adjustLivePayment(ctx, rootId),
  ),
  after(RefundRequested, 'send-refund', (ctx, { rootId, data }) =>
    sendRefund(ctx, { orderId: rootId, id: data.refundId }),
  ),
]
