// A scripted session with the unmodified Node SDK: node session.cjs HOST WRITE_KEY YESTERDAY
const { Analytics } = require('@segment/analytics-node')

const [host, writeKey, yesterday] = process.argv.slice(2)
const analytics = new Analytics({ writeKey, host, flushAt: 3, flushInterval: 200 })
const failures = []
analytics.on('error', (error) => failures.push(String(error.reason ?? error.code)))

const userId = 'node-user'
const products = [
  { product_id: '85123A', name: 'Heart', price: 5.25, quantity: 2 },
  { product_id: '71053', name: 'Lantern', price: 15, quantity: 1 },
]

async function main() {
  analytics.page({ anonymousId: 'node-anon', name: 'Home', properties: { url: 'http://shop.example/' } })
  analytics.identify({ userId, anonymousId: 'node-anon', traits: { name: 'Zoë', plan: 'gold' } })
  analytics.track({ userId, event: 'Product Viewed', properties: { product_id: '85123A', price: 5.25 }, timestamp: new Date(yesterday) })
  analytics.track({ userId, event: 'Order Completed', properties: { order_id: 'node-1', currency: 'GBP', total: 25.5, products } })
  analytics.screen({ userId, name: 'Basket' })
  analytics.group({ userId, groupId: 'acme', traits: { size: 12 } })
  analytics.alias({ userId, previousId: 'node-anon' })
  await analytics.closeAndFlush()
  console.log(JSON.stringify(failures))
}

main()
