-- One guarded write of a profile: its hash, and the hash of its personal traits where the write concerns them. Runs on Redis 6.2 and later;
-- both keys have one hash tag, so that they lie in one slot of a Redis Cluster.
-- KEYS[1] the profile. ARGV: incarnation, version, base, then field, value, field, value ...
-- KEYS[2] its personal traits, to be replaced as a whole; left alone where this key is missing. Then ARGV: incarnation, version, base, number
-- of words that belong to it, these words (name, value, name, value ...; none: the key goes), then field, value, field, value ...
-- base: the version a partial write builds on; 0 = the whole profile; -1 = the whole profile, also over the same version (repair).
-- Returns 1 written, 0 stale (the store holds this version or a newer one), -1 the store does not hold the base: send the whole profile.
local function fill(key, first, last)
  for from = first, last, 4000 do
    redis.call('HSET', key, unpack(ARGV, from, math.min(from + 3999, last)))
  end
end
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
local fields = 4
if KEYS[2] then
  fields = 5 + tonumber(ARGV[4])
end
fill(KEYS[1], fields, #ARGV)
if KEYS[2] then
  redis.call('DEL', KEYS[2])
  fill(KEYS[2], 5, fields - 1)
end
return 1
