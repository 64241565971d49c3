-- Point an identifier to its profile, unless the store knows of a later epoch.
-- KEYS[1] identifier key; ARGV: epoch, profile id. Returns 1 written, 0 the same or a later epoch is there.
local stored = redis.call('GET', KEYS[1])
local held = stored and tonumber(string.match(stored, '^(%d+):'))
if held and tonumber(ARGV[1]) <= held then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2])
return 1
