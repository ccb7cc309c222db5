-- Writes packed values so that a key only ever gets newer. KEYS: the keys; ARGV: one packed value a key (see packing.py).
-- Newer means a greater (as_of, created_at). An equal pair overwrites only when features or event_timestamp differ: the same knowledge
-- gave another value, so the stored one was wrong and the latest computation mends it; if only the snapshot differs there is nothing to
-- mend, and a value keeps the snapshot it came with. A value without a snapshot (`feast materialize`, which cuts instants to seconds)
-- mends none that has one. A sealed value (format version 2) is compared as a whole. What is no value of this format is overwritten: it
-- cannot be read by anybody.
-- Returns how many were written.
local written = 0
for i, key in ipairs(KEYS) do
    local new = ARGV[i]
    local old = redis.pcall('GET', key) -- an error table when the key holds another Redis type, false when it holds nothing
    local write = true
    if type(old) == 'string' and #old >= 28 and string.sub(old, 1, 4) == string.sub(new, 1, 4) then
        local old_as_of, old_created = struct.unpack('>i8i8', old, 5)
        local new_as_of, new_created = struct.unpack('>i8i8', new, 5)
        if new_as_of ~= old_as_of then
            write = new_as_of > old_as_of
        elseif new_created ~= old_created then
            write = new_created > old_created
        elseif string.byte(new, 2) == 2 then
            write = new ~= old
        else
            local features = string.byte(new, 3) * 256 + string.byte(new, 4)
            local size = 28 + math.ceil(features / 8) + 8 * features
            write = string.sub(new, 1, size) ~= string.sub(old, 1, size) and (#new > size or #old == size)
        end
    end
    if write then
        redis.call('SET', key, new)
        written = written + 1
    end
end
return written
