-- Note how far the store has come in a log, unless somebody else has, or the store has forgotten what was noted before.
-- KEYS[1] hash; ARGV: partition, what the store must hold of it (empty for nothing), what it shall hold, partition ...
-- Returns 1 noted (or was, by the same call repeated), 0 the store holds something else.
local repeated = true
for place = 1, #ARGV, 3 do
  local held = redis.call('HGET', KEYS[1], ARGV[place]) or ''
  if held ~= ARGV[place + 2] then repeated = false end
end
if repeated then return 1 end
for place = 1, #ARGV, 3 do
  local held = redis.call('HGET', KEYS[1], ARGV[place]) or ''
  if held ~= ARGV[place + 1] then return 0 end
end
for place = 1, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 2])
end
return 1
