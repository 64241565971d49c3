-- One guarded write of a profile's hash. Runs on Redis 6.2 and later.
-- KEYS[1] hash; ARGV: incarnation, version, base, then field, value, field, value ...
-- base: the version a partial write builds on; 0 = the whole profile; -1 = the whole profile, also over the same version (repair).
-- Returns 1 written, 0 stale (the store holds this version or a newer one), -1 the store does not hold the base: send the whole profile.
local incarnation, version, base = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local stored = redis.call('HMGET', KEYS[1], '_v', '_merged_into')
local held_incarnation, held_version = -1, -1
if stored[1] then
  local a, b = string.match(stored[1], '^(%d+)-(%d+)$')
  held_incarnation, held_version = tonumber(a) or -1, tonumber(b) or -1
end
if incarnation < held_incarnation then return 0 end
if incarnation == held_incarnation then
  if version < held_version or (version == held_version and base ~= -1) then return 0 end
end
if base > 0 then
  if incarnation ~= held_incarnation or base ~= held_version or stored[2] then return -1 end
elseif stored[1] or redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('DEL', KEYS[1])
end
for first = 4, #ARGV, 4000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 3999, #ARGV)))
end
return 1
