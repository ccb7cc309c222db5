-- Writes packed values so that who knows less never overwrites who knows more. KEYS: the keys; ARGV: one packed value a key (packing.py).
-- A value is (snapshot S, as_of T): made from what is visible in S, true at T. S sees another snapshot when all that is visible in that
-- one is visible in S too. The new value n is
--   written   when its epoch is higher; when S(n) sees S(o) and T(n) >= T(o), o being the stored one; when only n has a snapshot; and
--             without one, when its (as_of, created_at) is the greater: Feast's own contract;
--   kept out  silently when o's epoch is higher, when S(o) sees S(n) and T(o) >= T(n), and when the features are the same to the bit;
--   refused   otherwise: neither knows all that both know, so somebody has to compute the value again.
-- With the same S and T the later created_at wins, and then the later write if it differs: the same knowledge gave another value, so the
-- stored one was wrong. A sealed value (format version 2) goes by (as_of, created_at) and is compared as a whole. What is not a value of this
-- format is overwritten: it cannot be read by anybody.
-- Returns how many were written, then position (from 1) and stored as_of of each that was refused.
local read = {} -- tail of a value -> what it says; most of a call's values have the same few
local function knowledge(value, size)
    local tail = string.sub(value, size + 1)
    local known = read[tail]
    if known == nil then
        local text = string.match(tail, '^[^ ]*')
        local life, snapshot = string.match(text, '^(%d+)/(.*)$')
        snapshot = snapshot or text
        local following, running = string.match(snapshot, '^%d+:(%d+):([%d,]*)$')
        known = { text = text, epoch = tonumber(life) or 1, snapshot = following ~= nil, following = tonumber(following), list = {}, running = {} }
        for number in string.gmatch(running or '', '%d+') do
            known.list[#known.list + 1] = tonumber(number)
            known.running[tonumber(number)] = true
        end
        read[tail] = known
    end
    return known
end
local function sees(one, other)
    if one.following < other.following then return false end
    for _, number in ipairs(one.list) do
        if number < other.following and not other.running[number] then return false end
    end
    return true
end
local result = { 0 }
for i, key in ipairs(KEYS) do
    local new = ARGV[i]
    local old = redis.pcall('GET', key) -- an error table when the key holds another Redis type, false when it holds nothing
    local verdict = 'write'
    local old_as_of
    if old == new then
        verdict = 'keep'
    elseif type(old) == 'string' and #old >= 28 and string.sub(old, 1, 4) == string.sub(new, 1, 4) then
        local old_created, new_as_of, new_created
        old_as_of, old_created = struct.unpack('>i8i8', old, 5)
        new_as_of, new_created = struct.unpack('>i8i8', new, 5)
        local later = new_as_of - old_as_of
        if later == 0 then later = new_created - old_created end
        if string.byte(new, 2) == 2 then
            if later < 0 then verdict = 'keep' end
        else
            local features = string.byte(new, 3) * 256 + string.byte(new, 4)
            local size = 28 + math.ceil(features / 8) + 8 * features
            local ours, theirs = knowledge(new, size), knowledge(old, size)
            if not ours.snapshot or ours.text == theirs.text then
                if later < 0 or (later == 0 and theirs.snapshot and not ours.snapshot) then
                    verdict = 'keep'
                elseif later == 0 and string.sub(new, 21, size) == string.sub(old, 21, size) then
                    verdict = 'keep'
                end
            elseif theirs.snapshot then
                if ours.epoch ~= theirs.epoch then
                    if ours.epoch < theirs.epoch then verdict = 'keep' end
                elseif new_as_of < old_as_of or not sees(ours, theirs) then
                    local known = old_as_of >= new_as_of and sees(theirs, ours)
                    verdict = (known or string.sub(new, 29, size) == string.sub(old, 29, size)) and 'keep' or 'refuse'
                end
            end
        end
    end
    if verdict == 'write' then
        redis.call('SET', key, new)
        result[1] = result[1] + 1
    elseif verdict == 'refuse' then
        result[#result + 1] = i
        result[#result + 1] = old_as_of
    end
end
return result
